package dev.marque.keycloak.plan;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

import com.fasterxml.jackson.databind.JsonNode;

/**
 * The JSON Canonicalization Scheme of RFC 8785 for the values a plan may hold.
 * Numbers are integers between -(2^53-1) and 2^53-1; every other number is refused.
 */
public final class CanonicalJson {

    private static final long LARGEST_INTEGER = (1L << 53) - 1;

    private CanonicalJson() {
    }

    /** The canonical text of a value. */
    public static String of(JsonNode value) throws PlanRefused {
        StringBuilder out = new StringBuilder();
        write(value, out);
        return out.toString();
    }

    /** The canonical JSON string for a text, quotes included. */
    public static String string(String text) throws PlanRefused {
        StringBuilder out = new StringBuilder();
        writeString(text, out);
        return out.toString();
    }

    /** Member names in canonical order: by UTF-16 code units. */
    static List<String> names(JsonNode object) {
        List<String> names = new ArrayList<>();
        object.fieldNames().forEachRemaining(names::add);
        Collections.sort(names);
        return names;
    }

    private static void write(JsonNode value, StringBuilder out) throws PlanRefused {
        switch (value.getNodeType()) {
            case OBJECT -> writeObject(value, out);
            case ARRAY -> writeArray(value, out);
            case STRING -> writeString(value.textValue(), out);
            case NUMBER -> out.append(integer(value));
            case BOOLEAN -> out.append(value.booleanValue());
            case NULL -> out.append("null");
            default -> throw new PlanRefused("a value that JSON does not have");
        }
    }

    private static void writeObject(JsonNode object, StringBuilder out) throws PlanRefused {
        String separator = "{";
        for (String name : names(object)) {
            out.append(separator);
            writeString(name, out);
            out.append(':');
            write(object.get(name), out);
            separator = ",";
        }
        out.append(object.isEmpty() ? "{}" : "}");
    }

    private static void writeArray(JsonNode array, StringBuilder out) throws PlanRefused {
        String separator = "[";
        for (JsonNode element : array) {
            out.append(separator);
            write(element, out);
            separator = ",";
        }
        out.append(array.isEmpty() ? "[]" : "]");
    }

    private static long integer(JsonNode number) throws PlanRefused {
        boolean isLong = number.isIntegralNumber() && number.canConvertToLong();
        if (!isLong || number.longValue() > LARGEST_INTEGER || number.longValue() < -LARGEST_INTEGER) {
            throw new PlanRefused("a number that is not an integer of at most 53 bits");
        }
        return number.longValue();
    }

    private static void writeString(String text, StringBuilder out) throws PlanRefused {
        out.append('"');
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (Character.isHighSurrogate(c) && i + 1 < text.length() && Character.isLowSurrogate(text.charAt(i + 1))) {
                out.append(c).append(text.charAt(++i));
            } else if (Character.isSurrogate(c)) {
                throw new PlanRefused("half a surrogate pair");
            } else {
                writeCharacter(c, out);
            }
        }
        out.append('"');
    }

    private static void writeCharacter(char c, StringBuilder out) {
        switch (c) {
            case '"' -> out.append("\\\"");
            case '\\' -> out.append("\\\\");
            case '\b' -> out.append("\\b");
            case '\t' -> out.append("\\t");
            case '\n' -> out.append("\\n");
            case '\f' -> out.append("\\f");
            case '\r' -> out.append("\\r");
            default -> out.append(c < 0x20 ? String.format("\\u%04x", (int) c) : String.valueOf(c));
        }
    }
}
