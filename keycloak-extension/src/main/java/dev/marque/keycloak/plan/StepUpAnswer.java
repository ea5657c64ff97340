package dev.marque.keycloak.plan;

import java.util.Optional;

/** Marque's signed answer to a step-up request, verified, together with the lines rendered from it. */
public final class StepUpAnswer extends VerifiedAnswer {

    private final StepUpDocument document;

    private StepUpAnswer(StepUpDocument document, byte[] nonce, Optional<Catalog> catalog) throws PlanRefused {
        super(Kind.STEP_UP, nonce, Binary.sha256(catalog.map(Catalog::digest).orElse(new byte[0])),
                document.render(catalog));
        this.document = document;
    }

    /**
     * Verifies an answer and everything in it, then renders it.
     *
     * @throws PlanRefused at the first check that fails
     */
    public static StepUpAnswer verify(byte[] body, Expected expected, ClientRegistry clients) throws PlanRefused {
        Members answer = members(body, Kind.STEP_UP, expected, clients);
        StepUpDocument document = StepUpDocument.of(answer.bytes("document"));
        if (!expected.isOf(document.issuer(), document.userIssuer(), document.id())) {
            throw new PlanRefused("the document is of another issuer, step-up or realm");
        }
        Optional<Catalog> catalog = answer.has("catalog") ? Optional.of(catalog(answer.text("catalog"), clients))
                : Optional.empty();
        return new StepUpAnswer(document, nonce(answer), catalog);
    }

    @Override
    public String id() {
        return document.id();
    }

    @Override
    public byte[] digest() {
        return document.digest();
    }

    /** The person of a step-up is named by the realm's id alone: she approved the plan. */
    @Override
    public boolean isFor(String realmUsername, String realmSub) {
        return document.sub().equals(realmSub);
    }
}
