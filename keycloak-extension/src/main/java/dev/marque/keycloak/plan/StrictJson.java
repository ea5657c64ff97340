package dev.marque.keycloak.plan;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;

/** Reads JSON that has one meaning: valid UTF-8, no duplicate member, nothing after the value. */
public final class StrictJson {

    private static final JsonMapper MAPPER = JsonMapper.builder()
            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .build();

    private StrictJson() {
    }

    /**
     * Parses one JSON object.
     *
     * @param what names the object in the refusal
     * @throws PlanRefused if the octets are anything but one JSON object
     */
    public static JsonNode object(byte[] octets, String what) throws PlanRefused {
        JsonNode node = tree(text(octets, what), what);
        if (!node.isObject()) {
            throw new PlanRefused(what + " is not a JSON object");
        }
        return node;
    }

    /**
     * Parses what was signed to be shown: every number a plain integer that all parsers keep, every text one that
     * reads as what it is, and no more of either than the plan language allows.
     *
     * @param most bytes at most
     * @throws PlanRefused if there is anything else in it
     */
    static JsonNode signed(byte[] octets, int most, String what) throws PlanRefused {
        if (octets.length > most) {
            throw new PlanRefused(what + " is longer than allowed");
        }
        String text = text(octets, what);
        JsonNode node = tree(text, what);
        try (JsonParser parser = MAPPER.createParser(text)) {
            checkTokens(parser, what);
        } catch (IOException e) {
            throw new PlanRefused(what + " is not strict JSON");
        }
        return node;
    }

    /**
     * Parses one JSON value of any kind.
     *
     * @throws PlanRefused if the octets are anything but one JSON value
     */
    static JsonNode value(byte[] octets, String what) throws PlanRefused {
        return tree(text(octets, what), what);
    }

    private static String text(byte[] octets, String what) throws PlanRefused {
        try {
            return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(octets)).toString();
        } catch (CharacterCodingException e) {
            throw new PlanRefused(what + " is not UTF-8");
        }
    }

    private static JsonNode tree(String text, String what) throws PlanRefused {
        try {
            JsonNode node = MAPPER.readTree(text);
            if (node == null || node.isMissingNode()) {
                throw new PlanRefused(what + " is empty");
            }
            return node;
        } catch (JsonProcessingException e) {
            throw new PlanRefused(what + " is not strict JSON");
        }
    }

    private static void checkTokens(JsonParser parser, String what) throws IOException, PlanRefused {
        int values = 0;
        int depth = 0;
        for (JsonToken token = parser.nextToken(); token != null; token = parser.nextToken()) {
            if (token.isStructEnd()) {
                depth--;
                continue;
            }
            boolean isTooDeep = token != JsonToken.FIELD_NAME && depth > LanguageLimits.JSON_DEPTH;
            values += token == JsonToken.FIELD_NAME ? 0 : 1;
            depth += token.isStructStart() ? 1 : 0;
            if (isTooDeep || values > LanguageLimits.JSON_VALUES || !isPlain(token, parser.getText())) {
                throw new PlanRefused(what + " is too large, or holds a number or a text that may not be signed");
            }
        }
    }

    private static boolean isPlain(JsonToken token, String text) {
        return switch (token) {
            case VALUE_NUMBER_FLOAT -> false;
            case VALUE_NUMBER_INT -> isInteger(text);
            case FIELD_NAME, VALUE_STRING -> HiddenCharacters.isPlain(text);
            default -> true;
        };
    }

    /** Parsers differ about minus zero and about what does not fit into 53 bits. */
    private static boolean isInteger(String text) {
        return !text.equals("-0") && text.length() <= 17 && Math.abs(Long.parseLong(text)) <= LanguageLimits.INTEGER;
    }
}
