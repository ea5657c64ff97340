package dev.marque.keycloak.plan;

import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;

import com.fasterxml.jackson.databind.JsonNode;

/** Marque's signed answer to a plan request, verified, together with the lines rendered from it. */
public final class PlanAnswer implements Presented {

    /** The realm's client whose keys sign plan answers. */
    public static final String MARQUE_CLIENT = "marque";
    private static final String TYPE = "marque-plan+jwt";
    private static final String CATALOG_TYPE = "marque-catalog+jwt";
    private static final int NONCE_BYTES = 32;
    private static final long CLOCK_SKEW_SECONDS = 30;

    private final Plan plan;
    private final byte[] nonce;
    private final byte[] catalogDigest;
    private final List<DisplayLine> lines;

    private PlanAnswer(Plan plan, byte[] nonce, Catalogs catalogs) throws PlanRefused {
        this.plan = plan;
        this.nonce = nonce;
        this.catalogDigest = catalogs.digest();
        this.lines = DisplayLines.render(plan, catalogs);
    }

    /** What an answer must be about. */
    public record Expected(String marqueIssuer, String realmIssuer, String id, Instant now) {
    }

    /**
     * Verifies an answer and everything in it, then renders it.
     *
     * @throws PlanRefused at the first check that fails
     */
    public static PlanAnswer verify(byte[] body, Expected expected, ClientRegistry clients) throws PlanRefused {
        CompactJws jws = CompactJws.of(new String(body, StandardCharsets.US_ASCII), TYPE);
        jws.verify(enabled(clients, MARQUE_CLIENT));
        Members answer = Members.of(StrictJson.object(jws.payload(), "the answer"), "answer");
        checkClaims(answer, Kind.PLAN.idMember, expected);
        Plan plan = Plan.of(answer.bytes("plan"));
        checkPlan(plan, expected);
        List<Catalog> catalogs = new ArrayList<>();
        for (String compact : answer.texts("catalogs")) {
            catalogs.add(catalog(compact, clients));
        }
        return new PlanAnswer(plan, nonce(answer), Catalogs.of(plan, catalogs));
    }

    /** The plan that was verified. */
    public Plan plan() {
        return plan;
    }

    @Override
    public Kind kind() {
        return Kind.PLAN;
    }

    @Override
    public String id() {
        return plan.intentId();
    }

    @Override
    public byte[] digest() {
        return plan.digest();
    }

    @Override
    public boolean isFor(String realmUsername, String realmSub) {
        return plan.isFor(realmUsername, realmSub);
    }

    @Override
    public byte[] nonce() {
        return nonce;
    }

    @Override
    public byte[] catalogDigest() {
        return catalogDigest;
    }

    @Override
    public List<DisplayLine> lines() {
        return lines;
    }

    /** What every answer of Marque's says. */
    static void checkClaims(Members answer, String idMember, Expected expected) throws PlanRefused {
        answer.require("iss", expected.marqueIssuer());
        answer.require("aud", expected.realmIssuer());
        answer.require(idMember, expected.id());
        if (answer.integer("version", 1) != 1) {
            throw new PlanRefused("an answer of a later version");
        }
        long now = expected.now().getEpochSecond();
        if (answer.integer("exp", 0) <= now || answer.integer("iat", 0) > now + CLOCK_SKEW_SECONDS) {
            throw new PlanRefused("the answer is expired or not yet valid");
        }
    }

    private static void checkPlan(Plan plan, Expected expected) throws PlanRefused {
        if (!plan.issuer().equals(expected.marqueIssuer()) || !plan.intentId().equals(expected.id())
                || !plan.userIssuer().equals(expected.realmIssuer())) {
            throw new PlanRefused("the plan is of another issuer, intent or realm");
        }
    }

    /** The nonce of an answer. */
    static byte[] nonce(Members answer) throws PlanRefused {
        byte[] nonce = answer.bytes("nonce");
        if (nonce.length != NONCE_BYTES) {
            throw new PlanRefused("the nonce is not 32 bytes");
        }
        return nonce;
    }

    /** A catalog, by the key of the client that answers for its location. */
    static Catalog catalog(String compact, ClientRegistry clients) throws PlanRefused {
        CompactJws jws = CompactJws.of(compact, CATALOG_TYPE);
        JsonNode unverified = StrictJson.object(jws.payload(), "a catalog");
        RegisteredClient signer = enabled(clients, Members.of(unverified, "catalog").text("iss"));
        jws.verify(signer);
        Catalog catalog = Catalog.of(jws.payload());
        if (!signer.locations().contains(catalog.location())) {
            throw new PlanRefused("a catalog for a location that its signer does not answer for");
        }
        return catalog;
    }

    /** A client that may sign. */
    static RegisteredClient enabled(ClientRegistry clients, String clientId) throws PlanRefused {
        return clients.client(clientId).filter(RegisteredClient::enabled)
                .orElseThrow(() -> new PlanRefused("the signer is not an enabled client of this realm"));
    }
}
