package dev.marque.keycloak.plan;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class StepUpDocumentTest {

    static List<Path> vectors() {
        return Vectors.files("step-up");
    }

    @Test
    void thereAreVectors() {
        assertTrue(vectors().size() >= 3);
    }

    @ParameterizedTest
    @MethodSource("vectors")
    void rendersAsTheVectorSays(Path file) throws PlanRefused {
        JsonNode vector = Vectors.read(file);
        StepUpDocument document = document(vector);
        Optional<Catalog> catalog = catalog(vector);
        assertEquals(Vectors.texts(vector.get("lines")), document.render(catalog).stream().map(DisplayLine::text).toList());
        assertEquals(vector.get("document_digest").textValue(), Binary.encode(document.digest()));
        assertEquals(vector.at("/display/lines_sha256").textValue(),
                Binary.encode(DisplayLines.digest(document.render(catalog))));
        assertEquals(vector.at("/display/catalog_sha256").textValue(), 
                Binary.encode(Binary.sha256(catalog.map(Catalog::digest).orElse(new byte[0]))));
        assertEquals(vector.at("/display/renderer").textValue(), StepUpDocument.RENDERER);
    }

    @Test
    void showsAValueFromElsewhereAsWhatAPersonMustNotMiss() throws PlanRefused {
        JsonNode vector = payment();
        List<String> danger = document(vector).render(catalog(vector)).stream().filter(DisplayLine::danger)
                .map(DisplayLine::text).toList();
        assertEquals(2, danger.size());
        assertTrue(danger.get(0).startsWith("PAY (IRREVERSIBLE)"));
        assertTrue(danger.get(1).contains("FROM step \"invoice\""));
    }

    @ParameterizedTest
    @ValueSource(strings = {"\"catalog\" of another version", "\"class\":\"read\"", "\"resource\" of another type",
        "\"location\" elsewhere"})
    void refusesACatalogThatDoesNotDescribeTheCallSo(String what) throws PlanRefused {
        JsonNode vector = payment();
        ObjectNode document = (ObjectNode) vector.get("document");
        switch (what.substring(1, 4)) {
            case "cat" -> ((ObjectNode) vector.get("catalog")).put("version", 9);
            case "cla" -> document.put("class", "read");
            case "res" -> ((ObjectNode) document.get("resource")).put("type", "invoice");
            default -> document.put("location", "https://elsewhere.example");
        }
        assertThrows(PlanRefused.class, () -> document(vector).render(catalog(vector)));
    }

    @ParameterizedTest
    @ValueSource(strings = {"version", "surprise", "value", "twice", "hidden", "reason", "expires_at", "plan_digest"})
    void refusesADocumentThatThisVersionCannotShow(String what) throws PlanRefused {
        JsonNode vector = payment();
        ObjectNode document = (ObjectNode) vector.get("document");
        ArrayNode args = (ArrayNode) document.get("args");
        switch (what) {
            case "version" -> document.put("version", 2);
            case "surprise" -> document.put("surprise", 1);
            case "value" -> ((ObjectNode) args.get(0)).put("value", "{\"a\":1");
            case "twice" -> args.add(args.get(0).deepCopy());
            case "hidden" -> ((ObjectNode) args.get(0)).put("value", "\"a\u202eb\"");
            case "reason" -> document.put("reason", "x".repeat(281));
            case "expires_at" -> document.put("expires_at", "tomorrow");
            default -> document.put("plan_digest", "AAAA");
        }
        assertThrows(PlanRefused.class, () -> document(vector));
    }

    @Test
    void showsNothingWithACatalogTooManyOrTooFew() throws PlanRefused {
        JsonNode vector = payment();
        assertThrows(PlanRefused.class, () -> document(vector).render(Optional.empty()));
        ((ObjectNode) vector.get("document")).remove("catalog");
        assertThrows(PlanRefused.class, () -> document(vector).render(catalog(vector)));
        assertThrows(PlanRefused.class, () -> document(vector).render(Optional.empty()), "a class that no catalog gives");
        ((ObjectNode) vector.get("document")).put("class", "grant");
        assertTrue(document(vector).render(Optional.empty()).stream()
                .anyMatch(line -> line.danger() && line.text().contains("CANNOT BE EXPLAINED")));
    }

    @ParameterizedTest
    @ValueSource(strings = {"twice", "id", "value", "hidden", "surprise", "collection"})
    void refusesRecordsThatItCannotShow(String what) throws PlanRefused {
        JsonNode vector = Vectors.read(vectors().stream().filter(each -> each.endsWith("records.json")).findFirst()
                .orElseThrow());
        ArrayNode records = (ArrayNode) vector.at("/document/records");
        ObjectNode first = (ObjectNode) records.get(0);
        switch (what) {
            case "twice" -> records.add(first.deepCopy());
            case "id" -> first.put("id", "\"open");
            case "value" -> first.put("value", "{\"a\":1");
            case "hidden" -> first.put("value", "\"a\u202eb\"");
            case "surprise" -> first.put("surprise", 1);
            default -> first.remove("collection");
        }
        assertThrows(PlanRefused.class, () -> document(vector).render(catalog(vector)));
    }

    @Test
    void takesOnlyCanonicalBytes() throws PlanRefused {
        byte[] canonical = Vectors.canonical(payment().get("document"));
        byte[] spaced = (" " + new String(canonical, java.nio.charset.StandardCharsets.UTF_8))
                .getBytes(java.nio.charset.StandardCharsets.UTF_8);
        assertThrows(PlanRefused.class, () -> StepUpDocument.of(spaced));
    }

    private static JsonNode payment() throws PlanRefused {
        return Vectors.read(vectors().stream().filter(each -> each.endsWith("payment.json")).findFirst().orElseThrow());
    }

    private static StepUpDocument document(JsonNode vector) throws PlanRefused {
        return StepUpDocument.of(Vectors.canonical(vector.get("document")));
    }

    private static Optional<Catalog> catalog(JsonNode vector) throws PlanRefused {
        return vector.has("catalog") ? Optional.of(Catalog.of(Vectors.canonical(vector.get("catalog")))) : Optional.empty();
    }
}
