package dev.marque.keycloak.plan;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;

/** Reads JSON objects that have one meaning: valid UTF-8, no duplicate member, nothing after the object. */
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
        try {
            String text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(octets)).toString();
            JsonNode node = MAPPER.readTree(text);
            if (node == null || !node.isObject()) {
                throw new PlanRefused(what + " is not a JSON object");
            }
            return node;
        } catch (CharacterCodingException | JsonProcessingException e) {
            throw new PlanRefused(what + " is not strict JSON");
        }
    }
}
