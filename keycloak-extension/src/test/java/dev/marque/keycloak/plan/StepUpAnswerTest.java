package dev.marque.keycloak.plan;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class StepUpAnswerTest {

    private static final String TYPE = "marque-step-up+jwt";
    private static final Instant NOW = Instant.parse("2026-11-22T02:00:00Z");
    private static final byte[] NONCE = Binary.sha256(new byte[] {1});

    private final Map<String, RegisteredClient> clients = new HashMap<>();
    private final Signer marque = new Signer();
    private final Signer bank = new Signer("https://bank.example");
    private ObjectNode document;
    private ObjectNode catalog;
    private ObjectNode claims;

    @BeforeEach
    void aGoodAnswer() throws PlanRefused {
        clients.put("marque", marque);
        clients.put("bank", bank);
        JsonNode vector = Vectors.read(Vectors.files("step-up").stream()
                .filter(each -> each.endsWith("payment.json")).findFirst().orElseThrow());
        document = (ObjectNode) vector.get("document");
        catalog = (ObjectNode) vector.get("catalog");
        claims = document.objectNode();
        claims.set("iss", document.get("issuer"));
        claims.set("aud", document.at("/user/iss"));
        claims.set("step_up_id", document.get("step_up_id"));
        claims.put("version", 1).put("nonce", Binary.encode(NONCE)).put("iat", NOW.getEpochSecond())
                .put("exp", NOW.getEpochSecond() + 300);
    }

    @Test
    void acceptsAGoodAnswer() throws PlanRefused {
        StepUpAnswer answer = verify(body(TYPE, marque, bank));
        assertArrayEquals(Binary.sha256(Vectors.canonical(document)), answer.digest());
        assertArrayEquals(NONCE, answer.nonce());
        assertEquals(10, answer.lines().size());
        assertEquals(Presented.Kind.STEP_UP, answer.kind());
        assertTrue(answer.isFor("another name", document.at("/user/sub").textValue()));
        assertFalse(answer.isFor("alice", "another user"));
    }

    @Test
    void refusesAnotherSigner() throws PlanRefused {
        refused(body(TYPE, new Signer(), bank));
        refused(body(TYPE, marque, new Signer("https://bank.example")));
        clients.put("bank", new Signer("https://elsewhere.example"));
        refused(body(TYPE, marque, (Signer) clients.get("bank")));
        marque.disabled();
        refused(body(TYPE, marque, bank));
    }

    @ParameterizedTest
    @ValueSource(strings = {"marque-plan+jwt", "JWT", "txn-authz-challenge+jwt"})
    void refusesAnotherType(String type) throws PlanRefused {
        refused(body(type, marque, bank));
    }

    @ParameterizedTest
    @CsvSource({"iss,http://localhost:7400/realms/other", "aud,http://localhost:7410/realms/other",
        "step_up_id,00000000-0000-4000-8000-000000000002", "nonce,AAAA", "document,e30"})
    void refusesAnotherClaim(String name, String value) throws PlanRefused {
        claims.put(name, value);
        refused(body(TYPE, marque, bank));
    }

    @ParameterizedTest
    @ValueSource(strings = {"iss", "aud", "step_up_id", "version", "nonce", "iat", "exp"})
    void refusesAMissingClaim(String name) throws PlanRefused {
        claims.remove(name);
        refused(body(TYPE, marque, bank));
    }

    @Test
    void refusesAnAnswerThatIsOver() throws PlanRefused {
        claims.put("exp", NOW.getEpochSecond());
        refused(body(TYPE, marque, bank));
    }

    @ParameterizedTest
    @CsvSource({"issuer,http://localhost:7400/realms/other", "step_up_id,00000000-0000-4000-8000-000000000002"})
    void refusesADocumentOfSomethingElse(String name, String value) throws PlanRefused {
        document.put(name, value);
        refused(body(TYPE, marque, bank));
    }

    @Test
    void refusesADocumentOfAnotherRealm() throws PlanRefused {
        ((ObjectNode) document.get("user")).put("iss", "http://localhost:7410/realms/other");
        refused(body(TYPE, marque, bank));
    }

    @Test
    void acceptsACallWithoutACatalogWhereItsDocumentNamesNone() throws PlanRefused {
        JsonNode vector = Vectors.read(Vectors.files("step-up").stream()
                .filter(each -> each.endsWith("no-catalog.json")).findFirst().orElseThrow());
        document = (ObjectNode) vector.get("document");
        claims.put("document", Binary.encode(Vectors.canonical(document)));
        StepUpAnswer answer = verify(marque.sign(header(TYPE), Vectors.canonical(claims)));
        assertEquals(Vectors.texts(vector.get("lines")), answer.lines().stream().map(DisplayLine::text).toList());
        assertEquals(vector.at("/display/catalog_sha256").textValue(), Binary.encode(answer.catalogDigest()));
        refused(body(TYPE, marque, bank));
        claims.remove("catalog");
        claims.put("document", Binary.encode(Vectors.canonical(Vectors.read(Vectors.files("step-up").stream()
                .filter(each -> each.endsWith("payment.json")).findFirst().orElseThrow()).get("document"))));
        refused(marque.sign(header(TYPE), Vectors.canonical(claims)));
    }

    private void refused(String body) {
        assertThrows(PlanRefused.class, () -> verify(body));
    }

    private StepUpAnswer verify(String body) throws PlanRefused {
        PlanAnswer.Expected expected = new PlanAnswer.Expected("http://localhost:7400/realms/demo",
                "http://localhost:7410/realms/demo", "00000000-0000-4000-8000-0000000000a1", NOW);
        return StepUpAnswer.verify(body.getBytes(StandardCharsets.US_ASCII), expected,
                id -> Optional.ofNullable(clients.get(id)));
    }

    private String body(String type, Signer signer, Signer ofCatalog) throws PlanRefused {
        if (!claims.has("document")) {
            claims.put("document", Binary.encode(Vectors.canonical(document)));
        }
        claims.put("catalog", ofCatalog.sign(header("marque-catalog+jwt"), Vectors.canonical(catalog)));
        return signer.sign(header(type), Vectors.canonical(claims));
    }

    private static String header(String type) {
        return "{\"typ\":\"" + type + "\",\"alg\":\"ES256\",\"kid\":\"k\"}";
    }
}
