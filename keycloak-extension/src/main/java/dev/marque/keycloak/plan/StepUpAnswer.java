package dev.marque.keycloak.plan;

import java.nio.charset.StandardCharsets;
import java.util.List;

/** Marque's signed answer to a step-up request, verified, together with the lines rendered from it. */
public final class StepUpAnswer implements Presented {

    private static final String TYPE = "marque-step-up+jwt";

    private final StepUpDocument document;
    private final byte[] nonce;
    private final byte[] catalogDigest;
    private final List<DisplayLine> lines;

    private StepUpAnswer(StepUpDocument document, byte[] nonce, Catalog catalog) throws PlanRefused {
        this.document = document;
        this.nonce = nonce;
        this.catalogDigest = Binary.sha256(catalog.digest());
        this.lines = document.render(catalog);
    }

    /**
     * Verifies an answer and everything in it, then renders it.
     *
     * @throws PlanRefused at the first check that fails
     */
    public static StepUpAnswer verify(byte[] body, PlanAnswer.Expected expected, ClientRegistry clients)
            throws PlanRefused {
        CompactJws jws = CompactJws.of(new String(body, StandardCharsets.US_ASCII), TYPE);
        jws.verify(PlanAnswer.enabled(clients, PlanAnswer.MARQUE_CLIENT));
        Members answer = Members.of(StrictJson.object(jws.payload(), "the answer"), "answer");
        PlanAnswer.checkClaims(answer, Kind.STEP_UP.idMember, expected);
        StepUpDocument document = StepUpDocument.of(answer.bytes("document"));
        if (!document.issuer().equals(expected.marqueIssuer()) || !document.id().equals(expected.id())
                || !document.userIssuer().equals(expected.realmIssuer())) {
            throw new PlanRefused("the document is of another issuer, step-up or realm");
        }
        return new StepUpAnswer(document, PlanAnswer.nonce(answer),
                PlanAnswer.catalog(answer.text("catalog"), clients));
    }

    @Override
    public Kind kind() {
        return Kind.STEP_UP;
    }

    @Override
    public String id() {
        return document.id();
    }

    @Override
    public byte[] digest() {
        return document.digest();
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

    /** The person of a step-up is named by the realm's id alone: she approved the plan. */
    @Override
    public boolean isFor(String realmUsername, String realmSub) {
        return document.sub().equals(realmSub);
    }
}
