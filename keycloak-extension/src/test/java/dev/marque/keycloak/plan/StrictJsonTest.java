package dev.marque.keycloak.plan;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.charset.StandardCharsets;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class StrictJsonTest {

    @ParameterizedTest
    @ValueSource(strings = {"", " ", "[]", "1", "null", "\"a\"", "{", "{}{}", "{} x", "{\"a\":1,\"a\":1}",
            "{\"a\":{\"b\":1,\"b\":2}}", "{\"a\":[{\"b\":1,\"\\u0062\":2}]}", "{'a':1}", "{\"a\":01}", "{\"a\":NaN}",
            "{\"a\":1,}", "{\"a\":1}//", "{\"a\":\"\t\"}"})
    void refusesWhatIsNotOneStrictObject(String text) {
        assertThrows(PlanRefused.class, () -> StrictJson.object(text.getBytes(StandardCharsets.UTF_8), "test"));
    }

    @Test
    void refusesOtherEncodings() {
        for (byte[] octets : new byte[][] {"{\"a\":1}".getBytes(StandardCharsets.UTF_16), "{\"a\":1}".getBytes(
                StandardCharsets.UTF_16BE), {'{', '"', (byte) 0xC3, '"', ':', '1', '}'}, {'{', '"', (byte) 0xED,
                    (byte) 0xA0, (byte) 0x80, '"', ':', '1', '}'}}) {
            assertThrows(PlanRefused.class, () -> StrictJson.object(octets, "test"));
        }
    }

    @Test
    void writesCanonicalJson() throws PlanRefused {
        String text = "{\"\u20ac\":\"Euro\",\"\\r\":\"CR\",\"\ufb33\":0,\"1\":[],\"\\ud83d\\ude02\":{},\"\\u0080\":null,"
                + "\"\u00f6\":\"\\b\\t\\n\\f\\r\\u001f\\\"\\\\\\/\"}";
        String canonical = CanonicalJson.of(StrictJson.object(text.getBytes(StandardCharsets.UTF_8), "test"));
        assertEquals("{\"\\r\":\"CR\",\"1\":[],\"\u0080\":null,\"\u00f6\":\"\\b\\t\\n\\f\\r\\u001f\\\"\\\\/\","
                + "\"\u20ac\":\"Euro\",\"\ud83d\ude02\":{},\"\ufb33\":0}", canonical);
    }

    @ParameterizedTest
    @ValueSource(strings = {"1.0", "1e2", "9007199254740992", "-9007199254740992", "99999999999999999999",
            "-9223372036854775808", "\"\\ud800\"", "\"\\udc00\\ud800\""})
    void refusesWhatHasNoExactCanonicalForm(String value) throws PlanRefused {
        var node = StrictJson.object(("{\"a\":" + value + "}").getBytes(StandardCharsets.UTF_8), "test");
        assertThrows(PlanRefused.class, () -> CanonicalJson.of(node));
    }

    @ParameterizedTest
    @ValueSource(strings = {"AA==", "A", "AB", "A A", "A+A/", "AA\n"})
    void refusesBase64InAnotherSpelling(String text) {
        assertThrows(IllegalArgumentException.class, () -> Binary.decode(text));
    }
}
