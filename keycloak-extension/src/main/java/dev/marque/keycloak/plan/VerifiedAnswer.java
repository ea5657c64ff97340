package dev.marque.keycloak.plan;

import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.List;

import com.fasterxml.jackson.databind.JsonNode;

/** An answer of Marque's to the realm's request, verified, together with the lines rendered from it. */
public abstract sealed class VerifiedAnswer implements Presented permits PlanAnswer, StepUpAnswer {

    /** The realm's client whose keys sign answers. */
    public static final String MARQUE_CLIENT = "marque";
    private static final String CATALOG_TYPE = "marque-catalog+jwt";
    private static final int NONCE_BYTES = 32;
    private static final long CLOCK_SKEW_SECONDS = 30;

    private final Kind kind;
    private final byte[] nonce;
    private final byte[] catalogDigest;
    private final List<DisplayLine> lines;

    VerifiedAnswer(Kind kind, byte[] nonce, byte[] catalogDigest, List<DisplayLine> lines) {
        this.kind = kind;
        this.nonce = nonce;
        this.catalogDigest = catalogDigest;
        this.lines = lines;
    }

    /** What an answer must be about. */
    public record Expected(String marqueIssuer, String realmIssuer, String id, Instant now) {

        /** Whether what an answer holds is of this server, realm and id. */
        boolean isOf(String issuer, String userIssuer, String itsId) {
            return issuer.equals(marqueIssuer) && userIssuer.equals(realmIssuer) && itsId.equals(id);
        }
    }

    @Override
    public final Kind kind() {
        return kind;
    }

    @Override
    public final byte[] nonce() {
        return nonce;
    }

    @Override
    public final byte[] catalogDigest() {
        return catalogDigest;
    }

    @Override
    public final List<DisplayLine> lines() {
        return lines;
    }

    /** The members of an answer of a kind that Marque signed for this request. */
    static Members members(byte[] body, Kind kind, Expected expected, ClientRegistry clients) throws PlanRefused {
        CompactJws jws = CompactJws.of(new String(body, StandardCharsets.US_ASCII), kind.answerType);
        jws.verify(enabled(clients, MARQUE_CLIENT));
        Members answer = Members.of(StrictJson.object(jws.payload(), "the answer"), "answer");
        answer.require("iss", expected.marqueIssuer());
        answer.require("aud", expected.realmIssuer());
        answer.require(kind.idMember, expected.id());
        if (answer.integer("version", 1) != 1) {
            throw new PlanRefused("an answer of a later version");
        }
        long now = expected.now().getEpochSecond();
        if (answer.integer("exp", 0) <= now || answer.integer("iat", 0) > now + CLOCK_SKEW_SECONDS) {
            throw new PlanRefused("the answer is expired or not yet valid");
        }
        return answer;
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

    private static RegisteredClient enabled(ClientRegistry clients, String clientId) throws PlanRefused {
        return clients.client(clientId).filter(RegisteredClient::enabled)
                .orElseThrow(() -> new PlanRefused("the signer is not an enabled client of this realm"));
    }
}
