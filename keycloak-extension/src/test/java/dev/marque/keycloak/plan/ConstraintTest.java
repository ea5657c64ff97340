package dev.marque.keycloak.plan;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.Map;

import com.fasterxml.jackson.databind.JsonNode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What is no constraint of the registry, or more than a person reads, is refused. */
class ConstraintTest {

    @ParameterizedTest
    @ValueSource(strings = {"\"text\"", "[]", "null", "{}", "{\"const\":1,\"any\":true}", "{\"regex\":\"a\"}",
        "{\"Const\":1}", "{\"any\":false}", "{\"any\":1}", "{\"any\":null}", "{\"const\":1.5}",
        "{\"const\":9007199254740992}", "{\"one_of\":[]}", "{\"one_of\":1}", "{\"text\":{}}", "{\"text\":{\"max\":-1}}",
        "{\"text\":{\"max\":1,\"lines\":true}}", "{\"text\":{\"max\":20001}}", "{\"text\":{\"max\":1,\"urls\":\"no\"}}",
        "{\"pattern\":\"\"}", "{\"pattern\":1}", "{\"prefix\":\"a\"}", "{\"prefix\":\"/a//\"}", "{\"prefix\":\"../\"}",
        "{\"prefix\":\"/a/./\"}", "{\"prefix\":\"/%2e/\"}", "{\"prefix\":\"a?/\"}", "{\"prefix\":\"a\\\\/\"}"})
    void refusesAnUnknownValueKind(String constraint) {
        refused(constraint);
    }

    @ParameterizedTest
    @ValueSource(strings = {"{}",
        "{\"min\":1}",
        "{\"min\":\"1\",\"max\":\"0\"}",
        "{\"min\":\"01\"}",
        "{\"min\":\"-0\"}",
        "{\"min\":\"-0.00\"}", "{\"min\":\"+1\"}", "{\"min\":\"1e3\"}", "{\"min\":\".5\"}", "{\"min\":\"5.\"}",
        "{\"min\":\"\"}",
        "{\"min\":\"1\",\"step\":\"1\"}",
        "{\"max\":null}",
        "{\"max\":\"12345678901234567890123456789\"}",
        "{\"max\":\"0.12345678901234567890123456789\"}", "{\"max\":\"1 \"}", "{\"max\":\"\u0661\"}"})
    void refusesAnotherRange(String range) {
        refused("{\"num\":" + range + "}");
    }

    @ParameterizedTest
    @ValueSource(strings = {"{\"currency\":\"EUR\"}", "{\"max\":\"1\"}", "{\"max\":\"1\",\"currency\":\"eur\"}",
        "{\"max\":\"1\",\"currency\":\"EURO\"}", "{\"max\":\"-1\",\"currency\":\"EUR\"}",
        "{\"min\":\"2\",\"max\":\"1\",\"currency\":\"EUR\"}", "{\"max\":1,\"currency\":\"EUR\"}"})
    void refusesAnotherAmount(String amount) {
        refused("{\"amount\":" + amount + "}");
    }

    @ParameterizedTest
    @ValueSource(strings = {"{}", "{\"from\":\"2026-11-22\"}", "{\"from\":\"2026-11-22T03:00:00+00:00\"}",
        "{\"from\":\"2026-11-22T03:00:00.5Z\"}", "{\"from\":\"2026-11-22T24:00:00Z\"}",
        "{\"from\":\"2016-12-31T23:59:60Z\"}", "{\"from\":\"2026-11-22t03:00:00z\"}", "{\"to\":1}",
        "{\"from\":\"2026-11-22T03:00:01Z\",\"to\":\"2026-11-22T03:00:00Z\"}",
        "{\"from\":\"2026-11-22T03:00:00Z\",\"zone\":\"UTC\"}"})
    void refusesAnotherWindow(String window) {
        refused("{\"time_window\":" + window + "}");
    }

    @ParameterizedTest
    @ValueSource(strings = {"com", "X.com", "x.com.", ".x.com", "x..com", "127.0.0.1", "-x.com", "x_y.com", "a@x.com",
        "b\u00fccher.example", "x.com, evil.example", ""})
    void refusesAnotherDomain(String host) {
        refused("{\"domain\":{\"any_of\":[\"" + host + "\"]}}");
        refused("{\"domain\":{\"any_of\":[]}}");
        refused("{\"domain\":{\"any_of\":[\"x.com\"],\"depth\":1}}");
    }

    @ParameterizedTest
    @ValueSource(strings = {"{\"items\":{\"of\":{\"any\":true}}}", "{\"items\":{\"of\":{\"any\":true},\"max\":0}}",
        "{\"items\":{\"of\":{\"any\":true},\"max\":1001}}", "{\"items\":{\"of\":{\"any\":true},\"max\":1,\"min\":1}}",
        "{\"items\":{\"of\":{\"optional\":{\"any\":true}},\"max\":1}}", "{\"each\":1}", "{\"each\":{\"some\":1}}",
        "{\"obj\":[]}", "{\"obj\":{\"a\":1}}", "{\"obj\":{\"*\":{\"const\":1}}}", "{\"obj\":{\"\":{\"const\":1}}}",
        "{\"obj\":{\"*\":{\"optional\":{\"any\":true}}}}",
        "{\"obj\":{\"a\":{\"optional\":{\"optional\":{\"any\":true}}}}}",
        "{\"all\":[{\"any\":true}]}", "{\"all\":[]}", "{\"either\":[{\"any\":true}]}",
        "{\"either\":[{\"any\":true},{\"optional\":{\"any\":true}}]}", "{\"optional\":{\"any\":true}}"})
    void refusesAnotherNesting(String constraint) {
        refused(constraint);
    }

    @ParameterizedTest
    @ValueSource(strings = {"{}", "{\"step\":\"s\"}", "{\"field\":\"/a\"}", "{\"step\":\"none\",\"field\":\"/a\"}",
        "{\"step\":\"s\",\"field\":\"a\"}", "{\"step\":\"s\",\"field\":\"/~2\"}", "{\"step\":\"s\",\"field\":\"/*/*\"}",
        "{\"step\":\"s\",\"field\":\"/*/a\"}", "{\"step\":\"s\",\"field\":\"/a\",\"reduce\":\"first\"}",
        "{\"step\":\"s\",\"field\":\"/*/a\",\"reduce\":\"any\"}", "{\"step\":\"s\",\"field\":\"/*/a\",\"reduce\":1}",
        "{\"step\":\"s\",\"field\":\"/*/a\",\"reduce\":{}}",
        "{\"step\":\"s\",\"field\":\"/*/a\",\"reduce\":{\"argmax\":\"a\"}}",
        "{\"step\":\"s\",\"field\":\"/*/a\",\"reduce\":{\"argmax\":\"/a\",\"argmin\":\"/a\"}}",
        "{\"step\":\"s\",\"field\":\"/*/a\",\"reduce\":{\"middle\":\"/a\"}}",
        "{\"step\":\"s\",\"field\":\"/a\",\"where\":{\"/b\":{\"const\":1}}}",
        "{\"step\":\"s\",\"field\":\"/*/a\",\"reduce\":\"first\",\"where\":{\"b\":{\"const\":1}}}",
        "{\"step\":\"s\",\"field\":\"/*/a\",\"reduce\":\"first\","
            + "\"where\":{\"/b\":{\"same_as\":{\"step\":\"s\",\"arg\":\"to\"}}}}",
        "{\"step\":\"s\",\"field\":\"/*/a\",\"reduce\":\"first\","
            + "\"where\":{\"/b\":{\"fmt\":{\"template\":\"\",\"slots\":{}}}}}",
        "{\"step\":\"s\",\"field\":\"/*/a\",\"reduce\":\"first\","
            + "\"where\":{\"/b\":{\"attr\":{\"collection\":\"c\",\"where\":{\"/a\":{\"const\":1}}}}}}",
        "{\"step\":\"s\",\"field\":\"/a\",\"row\":1}"})
    void refusesAnotherReference(String rule) {
        refused("{\"ref\":" + rule + "}");
    }

    @ParameterizedTest
    @ValueSource(strings = {"{\"ref_set\":{\"step\":\"s\",\"field\":\"/a\"}}",
        "{\"ref_set\":{\"step\":\"none\",\"field\":\"/*\"}}",
        "{\"same_as\":{\"step\":\"s\",\"arg\":\"cc\"}}", "{\"same_as\":{\"step\":\"s\",\"arg\":\"*\"}}",
        "{\"same_as\":{\"step\":\"none\",\"arg\":\"to\"}}", "{\"same_as\":{\"step\":\"s\"}}",
        "{\"extract\":{\"step\":\"s\",\"type\":\"phone\"}}", "{\"extract\":{\"step\":\"none\",\"type\":\"word\"}}",
        "{\"extract\":{\"step\":\"s\",\"type\":\"word\",\"only\":true}}", "{\"quote\":{\"step\":\"none\"}}",
        "{\"quote\":{\"step\":\"s\",\"max\":1}}", "{\"quote\":\"s\"}"})
    void refusesAnotherSource(String constraint) {
        refused(constraint);
    }

    @ParameterizedTest
    @ValueSource(strings = {"{\"template\":\"{a}\",\"slots\":{}}",
        "{\"template\":\"a\",\"slots\":{\"a\":{\"const\":1}}}",
        "{\"template\":\"{a} {a}\",\"slots\":{\"a\":{\"const\":1}}}",
        "{\"template\":\"{a\",\"slots\":{\"a\":{\"const\":1}}}",
        "{\"template\":\"{a}}\",\"slots\":{\"a\":{\"const\":1}}}",
        "{\"template\":\"{{a}\",\"slots\":{\"a\":{\"const\":1}}}",
        "{\"template\":\"{a}{b}\",\"slots\":{\"a\":{\"const\":1},\"b\":{\"const\":1}}}",
        "{\"template\":\"{a}\",\"slots\":{\"a\":{\"optional\":{\"const\":1}}}}",
        "{\"template\":\"{a}\",\"slots\":{\"a\":1}}",
        "{\"slots\":{}}", "{\"template\":\"a\"}", "{\"template\":\"a\",\"slots\":{},\"max\":1}"})
    void refusesAnotherTemplate(String rule) {
        refused("{\"fmt\":" + rule + "}");
    }

    @ParameterizedTest
    @ValueSource(strings = {"{\"compute\":{\"expr\":\"a\",\"vars\":{}}}",
        "{\"compute\":{\"expr\":\"1\",\"vars\":{\"a\":{\"const\":1}}}}",
        "{\"compute\":{\"expr\":\"a\",\"vars\":{\"a\":{\"any\":true}}}}",
        "{\"compute\":{\"expr\":\"a\",\"vars\":{\"b\":{\"const\":1}}}}",
        "{\"compute\":{\"expr\":\"\",\"vars\":{}}}",
        "{\"compute\":{\"expr\":\"1; 2\",\"vars\":{}}}",
        "{\"compute\":{\"expr\":\"1\"}}",
        "{\"rel\":{\"base\":{\"const\":1},\"min\":\"0\"}}",
        "{\"rel\":{\"base\":{\"any\":true},\"min\":\"0\",\"max\":\"1\"}}",
        "{\"rel\":{\"base\":{\"const\":1},\"min\":\"2\",\"max\":\"1\"}}",
        "{\"rel\":{\"base\":{\"const\":1},\"min\":0,\"max\":1}}",
        "{\"attr\":{\"collection\":\"c\",\"where\":{}}}",
        "{\"attr\":{\"collection\":\"\",\"where\":{\"/a\":{\"const\":1}}}}",
        "{\"attr\":{\"collection\":\"c\",\"where\":{\"a\":{\"const\":1}}}}", "{\"attr\":{\"collection\":\"c\"}}",
        "{\"attr\":{\"collection\":\"c\",\"where\":{\"/a\":{\"quote\":{\"step\":\"s\"}}}}}"})
    void refusesAnotherDerivation(String constraint) {
        refused(constraint);
    }

    @Test
    void takesAHostNameAsLongAsThereAreAndNoLonger() throws PlanRefused {
        String labels = ("a".repeat(63) + ".").repeat(3);
        read("{\"domain\":{\"any_of\":[\"" + labels + "a".repeat(61) + "\"]}}");
        refused("{\"domain\":{\"any_of\":[\"" + labels + "a".repeat(62) + "\"]}}");
        refused("{\"domain\":{\"any_of\":[\"" + "a".repeat(64) + ".com\"]}}");
    }

    @Test
    void takesAsMuchAsAPersonReadsAndNoMore() throws PlanRefused {
        assertEquals(1022, read("{\"const\":\"" + "a".repeat(1020) + "\"}").phrase().length());
        refused("{\"const\":\"" + "a".repeat(1023) + "\"}");
        read("{\"one_of\":[" + "1,".repeat(99) + "1]}");
        refused("{\"one_of\":[" + "1,".repeat(100) + "1]}");
        read("{\"obj\":{\"" + "a".repeat(512) + "\":{\"const\":1}}}");
        refused("{\"obj\":{\"" + "a".repeat(513) + "\":{\"const\":1}}}");
        read("{\"pattern\":\"" + "a".repeat(256) + "\"}");
        refused("{\"pattern\":\"" + "a".repeat(257) + "\"}");
        String any = "{\"any\":true}";
        read("{\"all\":[" + (any + ",").repeat(15) + any + "]}");
        refused("{\"all\":[" + (any + ",").repeat(16) + any + "]}");
        read("{\"each\":".repeat(7) + any + "}".repeat(7));
        refused("{\"each\":".repeat(8) + any + "}".repeat(8));
        String fifteen = "{\"either\":[" + (any + ",").repeat(14) + any + "]}";
        read("{\"all\":[" + (fifteen + ",").repeat(14) + fifteen + "]}");
        refused("{\"all\":[" + (fifteen + ",").repeat(15) + fifteen + "]}");
    }

    @Test
    void anArgumentMayBeAllowedToBeAbsentAndIsThenAsDeepAsAnother() throws PlanRefused {
        String deepest = "{\"each\":".repeat(7) + "{\"any\":true}" + "}".repeat(7);
        Members args = Members.of(node("{\"a\":{\"optional\":" + deepest + "},\"b\":" + deepest + "}"), "test");
        Map<String, Constraint> arguments = ConstraintReader.arguments(args, earlier());
        assertTrue(arguments.get("a").phrase().startsWith("absent, or a list of ANY LENGTH"));
        assertEquals(2, arguments.size());
    }

    @Test
    void whatHasNoBoundIsMarkedHoweverDeepItIs() throws PlanRefused {
        for (String constraint : new String[] {"{\"any\":true}", "{\"each\":{\"const\":1}}",
            "{\"obj\":{\"a\":{\"optional\":{\"obj\":{\"*\":{\"any\":true}}}}}}",
        "{\"all\":[{\"const\":1},{\"any\":true}]}",
            "{\"items\":{\"of\":{\"either\":[{\"const\":1},{\"any\":true}]},\"max\":1}}",
            "{\"fmt\":{\"template\":\"{a}\",\"slots\":{\"a\":{\"any\":true}}}}",
            "{\"ref\":{\"step\":\"s\",\"field\":\"/*\",\"reduce\":\"first\",\"where\":{\"/a\":{\"any\":true}}}}",
            "{\"attr\":{\"collection\":\"c\",\"where\":{\"/a\":{\"any\":true}}}}"}) {
            assertTrue(read(constraint).unbounded(), constraint);
        }
        for (String constraint : new String[] {"{\"const\":\"ANYTHING (UNBOUNDED)\"}", "{\"text\":{\"max\":20000}}",
            "{\"quote\":{\"step\":\"s\"}}", "{\"obj\":{\"a\":{\"const\":1}}}"}) {
            assertFalse(read(constraint).unbounded(), constraint);
        }
    }

    private static KnownSteps earlier() throws PlanRefused {
        KnownSteps steps = new KnownSteps();
        steps.add(Step.of(node("{\"id\":\"s\",\"location\":\"http://localhost:7502\",\"action\":\"a\",\"class\":\"read\","
                + "\"resource\":{\"type\":\"t\",\"id\":\"r\"},\"args\":{\"to\":{\"const\":1},\"*\":{\"any\":true}},"
                + "\"uses\":1,\"approve\":\"plan\",\"added\":false}"), steps));
        return steps;
    }

    private static JsonNode node(String json) throws PlanRefused {
        return StrictJson.object(json.getBytes(StandardCharsets.UTF_8), "test");
    }

    private static Constraint read(String constraint) throws PlanRefused {
        return new ConstraintReader(earlier()).read(node("{\"c\":" + constraint + "}").get("c"), "test");
    }

    private static void refused(String constraint) {
        assertThrows(PlanRefused.class, () -> read(constraint), constraint);
    }
}
