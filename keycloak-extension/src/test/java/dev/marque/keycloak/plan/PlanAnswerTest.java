package dev.marque.keycloak.plan;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.function.UnaryOperator;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class PlanAnswerTest {

    private static final String HEADER = "{\"typ\":\"marque-plan+jwt\",\"alg\":\"ES256\",\"kid\":\"k\"}";
    private static final String CATALOG_HEADER = "{\"typ\":\"marque-catalog+jwt\",\"alg\":\"ES256\",\"kid\":\"k\"}";
    private static final String RS = "http://localhost:7402";
    private static final Instant NOW = Instant.parse("2026-11-22T02:00:00Z");
    private static final byte[] NONCE = Binary.sha256(new byte[] {1});

    private final Map<String, RegisteredClient> clients = new HashMap<>();
    private final Signer marque = new Signer();
    private final Signer server = new Signer(RS);
    private ObjectNode plan;
    private ObjectNode catalog;
    private ObjectNode claims;

    @BeforeEach
    void aGoodAnswer() throws PlanRefused {
        clients.put("marque", marque);
        clients.put("demo-rs", server);
        JsonNode vector = Vectors.display("rotate-keys");
        plan = (ObjectNode) vector.get("plan");
        catalog = (ObjectNode) vector.at("/catalogs/0");
        claims = plan.objectNode();
        claims.set("iss", plan.get("issuer"));
        claims.set("aud", plan.at("/user/iss"));
        claims.set("intent_id", plan.get("intent_id"));
        claims.put("version", 1).put("nonce", Binary.encode(NONCE)).put("iat", NOW.getEpochSecond())
                .put("exp", NOW.getEpochSecond() + 300);
    }

    @Test
    void acceptsAGoodAnswer() throws PlanRefused {
        PlanAnswer answer = verify(body(HEADER, marque, CATALOG_HEADER, server));
        assertArrayEquals(Binary.sha256(Vectors.canonical(plan)), answer.plan().digest());
        assertArrayEquals(NONCE, answer.nonce());
        assertEquals(23, answer.lines().size());
    }

    @Test
    void refusesASignatureByAnotherKey() {
        refused(body(HEADER, new Signer(), CATALOG_HEADER, server));
    }

    @Test
    void refusesAChangedPayload() {
        String[] parts = body(HEADER, marque, CATALOG_HEADER, server).split("\\.");
        claims.put("nonce", Binary.encode(Binary.sha256(NONCE)));
        refused(parts[0] + "." + Binary.encode(payload(CATALOG_HEADER, server)) + "." + parts[2]);
    }

    @Test
    void refusesAKeyOnAnotherCurve() {
        Signer other = Signer.onAnotherCurve();
        clients.put("marque", other);
        refused(body(HEADER, other, CATALOG_HEADER, server));
    }

    @Test
    void refusesAnUnknownOrDisabledMarque() {
        String body = body(HEADER, marque, CATALOG_HEADER, server);
        marque.disabled();
        refused(body);
        clients.remove("marque");
        refused(body);
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "{\"typ\":\"JWT\",\"alg\":\"ES256\",\"kid\":\"k\"}", "{\"alg\":\"ES256\",\"kid\":\"k\"}",
        "{\"typ\":\"marque-catalog+jwt\",\"alg\":\"ES256\",\"kid\":\"k\"}",
        "{\"typ\":\"marque-plan+jwt\",\"alg\":\"none\",\"kid\":\"k\"}",
        "{\"typ\":\"marque-plan+jwt\",\"alg\":\"HS256\",\"kid\":\"k\"}", "{\"typ\":\"marque-plan+jwt\",\"alg\":\"ES256\"}",
        "{\"typ\":\"marque-plan+jwt\",\"alg\":\"ES256\",\"kid\":\"k\",\"crit\":[\"b64\"]}",
        "{\"typ\":\"marque-plan+jwt\",\"typ\":\"marque-plan+jwt\",\"alg\":\"ES256\",\"kid\":\"k\"}"})
    void refusesAnotherHeader(String header) {
        refused(body(header, marque, CATALOG_HEADER, server));
    }

    @ParameterizedTest
    @CsvSource({"iss,http://localhost:7400/realms/other", "aud,http://localhost:7410/realms/other",
        "intent_id,00000000-0000-4000-8000-000000000002", "nonce,AAAA", "nonce,not base64url"})
    void refusesAnotherClaim(String name, String value) {
        claims.put(name, value);
        refused(body(HEADER, marque, CATALOG_HEADER, server));
    }

    @ParameterizedTest
    @ValueSource(strings = {"iss", "aud", "intent_id", "version", "nonce", "iat", "exp"})
    void refusesAMissingClaim(String name) {
        claims.remove(name);
        refused(body(HEADER, marque, CATALOG_HEADER, server));
    }

    @Test
    void refusesAListOfAudiences() {
        claims.putArray("aud").add(plan.at("/user/iss"));
        refused(body(HEADER, marque, CATALOG_HEADER, server));
    }

    @Test
    void refusesAnExpiredAnswerAndOneFromTheFuture() {
        claims.put("exp", NOW.getEpochSecond());
        refused(body(HEADER, marque, CATALOG_HEADER, server));
        claims.put("exp", NOW.getEpochSecond() + 600).put("iat", NOW.getEpochSecond() + 60);
        refused(body(HEADER, marque, CATALOG_HEADER, server));
    }

    @ParameterizedTest
    @CsvSource({"/,issuer,http://localhost:7400/realms/other", "/,intent_id,00000000-0000-4000-8000-000000000002",
        "/user,iss,http://localhost:7410/realms/other", "/,mode,free", "/,surprise,member", "/user,sub,both",
        "/steps/0,approve,each", "/steps/1,uses,any", "/steps/1,class,read", "/steps/1,action,secret.reveal",
        "/steps/1,location,http://localhost:7409", "/steps/1/resource,type,secret", "/steps/1,surprise,member",
        "/steps/1,id,s1", "/limits,expires_at,tomorrow", "/limits,expires_at,2026-11-22T03:00:00+01:00",
        "/catalogs/0,sha256,AAAA", "/catalogs/0,location,http://localhost:7409", "/delegates/0,client_id,demo-auditor"})
    void refusesAnotherPlan(String at, String name, String value) {
        ((ObjectNode) (at.equals("/") ? plan : plan.at(at))).put(name, value);
        refused(body(HEADER, marque, CATALOG_HEADER, server));
    }

    @Test
    void refusesAStepThatNobodyAskedForAndAnArgumentThatNobodyDescribed() {
        ((ObjectNode) plan.at("/steps/0")).put("added", true);
        refused(body(HEADER, marque, CATALOG_HEADER, server));
        ((ObjectNode) plan.at("/steps/0")).put("added", false);
        ((ObjectNode) plan.at("/steps/0/args")).putObject("depth").put("const", 1);
        refused(body(HEADER, marque, CATALOG_HEADER, server));
    }

    @Test
    void refusesAnotherVersionOfTheCatalog() {
        ((ObjectNode) plan.at("/catalogs/0")).put("version", 2);
        refused(body(HEADER, marque, CATALOG_HEADER, server));
    }

    @Test
    void refusesAPlanWithoutStepsOrWithADelegateOfNoStep() {
        ((ArrayNode) plan.at("/delegates/0/steps")).add("s9");
        refused(body(HEADER, marque, CATALOG_HEADER, server));
        plan.remove("delegates");
        ((ArrayNode) plan.get("steps")).removeAll();
        refused(body(HEADER, marque, CATALOG_HEADER, server));
    }

    @Test
    void refusesBytesThatAreNotStrictCanonicalJson() {
        refused(body(HEADER, marque, CATALOG_HEADER, server, text -> "{\"agent\":{}," + text.substring(1)));
        refused(body(HEADER, marque, CATALOG_HEADER, server, text -> "{ " + text.substring(1)));
        refused(body(HEADER, marque, CATALOG_HEADER, server, text -> text + "{}"));
        refused(body(HEADER, marque, CATALOG_HEADER, server, text -> text.replace("demo-agent", "demo\\u002dagent")));
        refused(body(HEADER, marque, CATALOG_HEADER, server, text -> "[" + text + "]"));
    }

    @Test
    void refusesACatalogSignedByAnotherClient() {
        refused(body(HEADER, marque, CATALOG_HEADER, marque));
    }

    @Test
    void refusesACatalogOfAnUnknownOrDisabledClient() {
        String body = body(HEADER, marque, CATALOG_HEADER, server);
        server.disabled();
        refused(body);
        clients.remove("demo-rs");
        refused(body);
    }

    @Test
    void refusesACatalogForALocationThatItsSignerDoesNotAnswerFor() {
        Signer elsewhere = new Signer("http://localhost:7409", RS + "/");
        clients.put("demo-rs", elsewhere);
        refused(body(HEADER, marque, CATALOG_HEADER, elsewhere));
    }

    @Test
    void refusesAnotherTypeOfCatalog() {
        refused(body(HEADER, marque, HEADER, server));
    }

    @Test
    void refusesAChangedCatalog() throws PlanRefused {
        catalog.put("version", 2);
        refused(body(HEADER, marque, CATALOG_HEADER, server));
    }

    @Test
    void refusesMissingAndSuperfluousCatalogs() {
        String compact = server.sign(CATALOG_HEADER, octets(catalog));
        claims.putArray("catalogs");
        refused(sealed());
        claims.putArray("catalogs").add(compact).add(compact);
        refused(sealed());
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "a", "a.b", "a.b.c.d", "not a jws", "e30.e30.", "=.=.="})
    void refusesWhatIsNoJws(String body) {
        refused(body);
    }

    private String body(String header, Signer signer, String catalogHeader, Signer catalogSigner) {
        return body(header, signer, catalogHeader, catalogSigner, UnaryOperator.identity());
    }

    private String body(String header, Signer signer, String catalogHeader, Signer catalogSigner,
                        UnaryOperator<String> change) {
        String text = change.apply(new String(octets(plan), StandardCharsets.UTF_8));
        claims.put("plan", Binary.encode(text.getBytes(StandardCharsets.UTF_8)));
        claims.putArray("catalogs").add(catalogSigner.sign(catalogHeader, octets(catalog)));
        return signer.sign(header, octets(claims));
    }

    private byte[] payload(String catalogHeader, Signer catalogSigner) {
        claims.putArray("catalogs").add(catalogSigner.sign(catalogHeader, octets(catalog)));
        return octets(claims);
    }

    private String sealed() {
        claims.put("plan", Binary.encode(octets(plan)));
        return marque.sign(HEADER, octets(claims));
    }

    private static byte[] octets(JsonNode value) {
        try {
            return Vectors.canonical(value);
        } catch (PlanRefused e) {
            throw new IllegalArgumentException(e);
        }
    }

    private PlanAnswer verify(String body) throws PlanRefused {
        PlanAnswer.Expected expected = new PlanAnswer.Expected("http://localhost:7400/realms/demo",
                "http://localhost:7410/realms/demo", "00000000-0000-4000-8000-000000000001", NOW);
        return PlanAnswer.verify(body.getBytes(StandardCharsets.UTF_8), expected,
                id -> Optional.ofNullable(clients.get(id)));
    }

    private void refused(String body) {
        assertThrows(PlanRefused.class, () -> verify(body));
    }
}
