package dev.marque.keycloak.approval;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.List;

import com.fasterxml.jackson.databind.JsonNode;
import dev.marque.keycloak.plan.Binary;
import dev.marque.keycloak.plan.PlanRefused;
import dev.marque.keycloak.plan.PlanWords;
import dev.marque.keycloak.plan.Presented;
import dev.marque.keycloak.plan.Vectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class ChallengeVectorsTest {

    static List<Path> vectors() {
        return Vectors.files("challenge");
    }

    @Test
    void thereAreVectors() {
        assertTrue(vectors().size() >= 3);
    }

    @ParameterizedTest
    @MethodSource("vectors")
    void computesWhatTheVectorSays(Path file) throws PlanRefused {
        JsonNode vector = Vectors.read(file);
        DisplayRecord display = display(vector.get("display"));
        assertEquals(text(vector, "display_digest"), Binary.encode(display.digest()));
        PendingApproval pending = new PendingApproval(Presented.Kind.PLAN, text(vector, "issuer"), text(vector, "intent_id"), "user",
                text(vector, "plan_digest"), display, text(vector, "nonce"));
        assertEquals(text(vector, "challenge"), pending.challenge());
        assertEquals(text(vector, "plan_words"), PlanWords.of(Binary.decode(text(vector, "plan_digest"))));
    }

    static List<Path> stepUps() {
        return Vectors.files("step-up");
    }

    @ParameterizedTest
    @MethodSource("stepUps")
    void computesWhatTheVectorOfAStepUpSays(Path file) throws PlanRefused {
        JsonNode vector = Vectors.read(file);
        DisplayRecord display = display(vector.get("display"));
        assertEquals(text(vector, "display_digest"), Binary.encode(display.digest()));
        PendingApproval pending = new PendingApproval(Presented.Kind.STEP_UP, text(vector, "realm_issuer"),
                vector.at("/document/step_up_id").textValue(), "user", text(vector, "document_digest"), display,
                text(vector, "nonce"));
        assertEquals(text(vector, "challenge"), pending.challenge());
        assertEquals(text(vector, "document_words"), PlanWords.of(Binary.decode(text(vector, "document_digest"))));
    }

    @Test
    void refusesPartsThatCouldBeMistakenForOthers() {
        byte[] part = new byte[32];
        assertThrows(IllegalArgumentException.class, () -> ApprovalChallenge.of("d", "a\0b", "c", part, part, part));
        assertThrows(IllegalArgumentException.class, () -> ApprovalChallenge.of("d", "a", "b\0c", part, part, part));
        assertThrows(IllegalArgumentException.class, () -> ApprovalChallenge.of("d", "a", "b", new byte[31], part, part));
    }

    @Test
    void theTemplateIsPacked() {
        assertEquals(32, Binary.decode(ApprovalTemplate.sha256()).length);
    }

    private static DisplayRecord display(JsonNode display) {
        return new DisplayRecord(text(display, "renderer"), text(display, "template_sha256"),
                text(display, "catalog_sha256"), text(display, "locale"), text(display, "lines_sha256"));
    }

    private static String text(JsonNode object, String name) {
        return object.get(name).textValue();
    }
}
