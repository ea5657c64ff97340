package dev.marque.keycloak.plan;

import java.util.ArrayList;
import java.util.List;

import com.fasterxml.jackson.databind.JsonNode;

/** Marque's signed answer to a plan request, verified, together with the lines rendered from it. */
public final class PlanAnswer extends VerifiedAnswer {

    private final Plan plan;

    private PlanAnswer(Plan plan, byte[] nonce, Catalogs catalogs) throws PlanRefused {
        super(Kind.PLAN, nonce, catalogs.digest(), DisplayLines.render(plan, catalogs));
        this.plan = plan;
    }

    /**
     * Verifies an answer and everything in it, then renders it.
     *
     * @throws PlanRefused at the first check that fails
     */
    public static PlanAnswer verify(byte[] body, Expected expected, ClientRegistry clients) throws PlanRefused {
        Members answer = members(body, Kind.PLAN, expected, clients);
        Plan plan = Plan.of(answer.bytes("plan"));
        if (!expected.isOf(plan.issuer(), plan.userIssuer(), plan.intentId())) {
            throw new PlanRefused("the plan is of another issuer, intent or realm");
        }
        List<Catalog> catalogs = new ArrayList<>();
        for (JsonNode compact : answer.elements("catalogs")) {
            catalogs.add(catalog(compact.asText(), clients));
        }
        return new PlanAnswer(plan, nonce(answer), Catalogs.of(plan, catalogs));
    }

    /** The plan that was verified. */
    public Plan plan() {
        return plan;
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
}
