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
        assertTrue(vectors().size() >= 6);
    }

    @ParameterizedTest
    @MethodSource("vectors")
    void rendersAsTheVectorSays(Path file) throws PlanRefused {
        JsonNode vector = Vectors.read(file);
        assertEquals(DisplayLines.LOCALE, vector.get("locale").textValue());
        assertEquals(Vectors.texts(vector.get("lines")), texts(render(vector)));
    }

    @Test
    void marksWhatCannotBeUndoneOrHasNoBound() throws PlanRefused {
        List<DisplayLine> lines = render(Vectors.display("resource-constraints"));
        for (DisplayLine line : lines.subList(4, lines.size())) {
            boolean unbounded = line.text().contains("(UNBOUNDED)") && !line.text().matches("\\d+\\. .*");
            assertEquals(unbounded || line.text().contains("(IRREVERSIBLE)"), line.danger(), line.text());
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

    @ParameterizedTest
    @ValueSource(strings = {"{\"const\":1,\"any\":true}", "{}", "{\"any\":false}", "{\"one_of\":[]}", "{\"regex\":\"a\"}",
            "{\"text\":{}}", "{\"text\":{\"max\":-1}}", "{\"text\":{\"max\":1,\"lines\":true}}", "{\"const\":1.5}",
            "{\"const\":9007199254740992}", "\"text\"", "[]"})
    void refusesAnUnknownConstraint(String constraint) throws PlanRefused {
        JsonNode node = StrictJson.object(("{\"c\":" + constraint + "}").getBytes(), "test").get("c");
        assertThrows(PlanRefused.class, () -> Constraint.of(node, "test"));
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
