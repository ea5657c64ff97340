package dev.marque.keycloak.plan;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

import com.fasterxml.jackson.databind.JsonNode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The vectors of what is signed; the others are of calls, which the extension never sees. */
class CanonicalVectorsTest {

    private static final int MOST = 1 << 20;

    static List<Path> vectors() throws PlanRefused {
        List<Path> vectors = new ArrayList<>();
        for (Path file : Vectors.files("canonical")) {
            if (Vectors.read(file).get("profile").textValue().equals("plan")) {
                vectors.add(file);
            }
        }
        return vectors;
    }

    @Test
    void thereAreVectors() throws PlanRefused {
        assertTrue(vectors().size() >= 50);
    }

    @ParameterizedTest
    @MethodSource("vectors")
    void readsAsTheVectorSays(Path file) throws PlanRefused {
        JsonNode vector = Vectors.read(file);
        byte[] input = vector.get("input").textValue().getBytes(StandardCharsets.UTF_8);
        if (vector.has("refused_at")) {
            assertThrows(PlanRefused.class, () -> StrictJson.signed(input, MOST, "test"));
            return;
        }
        String canonical = CanonicalJson.of(StrictJson.signed(input, MOST, "test"));
        assertEquals(vector.get("canonical").textValue(), canonical);
        byte[] digest = Binary.sha256(canonical.getBytes(StandardCharsets.UTF_8));
        assertEquals(vector.get("sha256").textValue(), Binary.encode(digest));
    }

    @Test
    void refusesMoreThanTheLimits() throws PlanRefused {
        byte[] most = ("[" + "1,".repeat(LanguageLimits.JSON_VALUES - 2) + "1]").getBytes(StandardCharsets.UTF_8);
        assertEquals(LanguageLimits.JSON_VALUES - 1, StrictJson.signed(most, MOST, "test").size());
        assertThrows(PlanRefused.class, () -> StrictJson.signed(most, most.length - 1, "test"));
        byte[] more = ("[" + "1,".repeat(LanguageLimits.JSON_VALUES - 1) + "1]").getBytes(StandardCharsets.UTF_8);
        assertThrows(PlanRefused.class, () -> StrictJson.signed(more, MOST, "test"));
    }
}
