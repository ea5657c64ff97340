package dev.marque.keycloak.plan;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class DisplayVectorsTest {

    static List<Path> vectors() {
        return Vectors.files("display");
    }

    @Test
    void thereAreVectors() {
        assertTrue(vectors().size() >= 14);
    }

    @ParameterizedTest
    @MethodSource("vectors")
    void rendersAsTheVectorSays(Path file) throws PlanRefused {
        JsonNode vector = Vectors.read(file);
        assertEquals(DisplayLines.LOCALE, vector.get("locale").textValue());
        assertEquals(Vectors.texts(vector.get("lines")), texts(render(vector)));
    }

    @ParameterizedTest
    @MethodSource("vectors")
    void marksWhatAPersonMustNotMiss(Path file) throws PlanRefused {
        for (DisplayLine line : render(Vectors.read(file))) {
            String text = line.text().replaceAll("\"(\\\\.|[^\"\\\\])*\"", "\"\"");
            boolean isAlone = text.startsWith("   ");
            boolean unbounded = text.contains("(UNBOUNDED)") || text.contains("ANY LENGTH");
            boolean notice = text.startsWith("   STEP-UP:") || text.startsWith("   ADDED:")
                    || text.startsWith("YOU DID NOT START THIS:");
            assertEquals(isAlone && unbounded || notice || text.contains("(IRREVERSIBLE)"), line.danger(), line.text());
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"a\u0007b", "a\u202eb", "a\u200bb", "a\u0085b", "a\u2028b", "a\ue000b", "a\ufe0fb"})
    void refusesALineWithWhatCannotBeSeen(String text) throws PlanRefused {
        JsonNode vector = Vectors.display("irreversible-delete");
        ((ObjectNode) vector.at("/plan/agent")).put("client_id", text);
        assertThrows(PlanRefused.class, () -> render(vector));
    }

    @ParameterizedTest
    @ValueSource(strings = {"{}", "{ resource}", "{resource", "resource}", "{args.nobody}", "{args.}", "{{resource}}"})
    void refusesBracesThatAreNoPlace(String template) throws PlanRefused {
        JsonNode vector = Vectors.display("unbounded-uses");
        ((ObjectNode) vector.at("/catalogs/0/actions/service_accounts.list/display")).put("en", template);
        assertThrows(PlanRefused.class, () -> render(relisted(vector)));
    }

    private static List<DisplayLine> render(JsonNode vector) throws PlanRefused {
        Plan plan = Plan.of(Vectors.canonical(vector.get("plan")));
        List<Catalog> catalogs = new ArrayList<>();
        for (JsonNode catalog : vector.get("catalogs")) {
            catalogs.add(0, Catalog.of(Vectors.canonical(catalog)));
        }
        return DisplayLines.render(plan, Catalogs.of(plan, catalogs));
    }

    /** The plan names the changed catalog, so that nothing but the change can be refused. */
    private static JsonNode relisted(JsonNode vector) throws PlanRefused {
        byte[] digest = Binary.sha256(Vectors.canonical(vector.at("/catalogs/0")));
        ((ObjectNode) ((ArrayNode) vector.at("/plan/catalogs")).get(0)).put("sha256", Binary.encode(digest));
        return vector;
    }

    private static List<String> texts(List<DisplayLine> lines) {
        return lines.stream().map(DisplayLine::text).toList();
    }
}
