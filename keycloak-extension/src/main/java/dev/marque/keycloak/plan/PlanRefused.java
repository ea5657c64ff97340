package dev.marque.keycloak.plan;

/** Something that Marque or a resource server sent fails a check, so nothing may be shown or approved. */
public final class PlanRefused extends Exception {

    private static final long serialVersionUID = 1L;

    /** @param reason what is wrong, in words for the server's log; it may quote identifiers, never secrets */
    public PlanRefused(String reason) {
        super(reason);
    }
}
