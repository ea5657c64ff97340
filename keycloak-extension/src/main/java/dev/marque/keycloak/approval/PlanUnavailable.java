package dev.marque.keycloak.approval;

/** Marque cannot be asked now, or its answer is not an answer. */
final class PlanUnavailable extends Exception {

    private static final long serialVersionUID = 1L;

    PlanUnavailable(String reason) {
        super(reason);
    }
}
