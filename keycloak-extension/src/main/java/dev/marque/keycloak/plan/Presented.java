package dev.marque.keycloak.plan;

import java.util.List;

/** What Marque answered and a page shows: a plan, or one call of a step-up. */
public interface Presented {

    /** What it is. */
    Kind kind();

    /** The id that Marque gave it. */
    String id();

    /** SHA-256 of its canonical bytes. */
    byte[] digest();

    /** Marque's single-use nonce, 32 bytes. */
    byte[] nonce();

    /** SHA-256 of the digests of the catalogs that it is shown with. */
    byte[] catalogDigest();

    /** What the person reads. */
    List<DisplayLine> lines();

    /** Whether this is the person whom it is for. */
    boolean isFor(String realmUsername, String realmSub);

    /** The kinds of thing that a person approves; no gesture for one is a gesture for the other. */
    enum Kind {
        /** A whole plan. */
        PLAN("marque/approval/v1", DisplayLines.RENDERER, "intent_id", "plan_digest", "/internal/plans/",
                "marque-plan-request+jwt", "marque-plan+jwt", "marque_intent"),
        /** One call. */
        STEP_UP("marque/step-up/v1", StepUpDocument.RENDERER, "step_up_id", "document_digest", "/internal/step-ups/",
                "marque-step-up-request+jwt", "marque-step-up+jwt", "marque_step_up");

        /** Separates its WebAuthn challenges from those of the others. */
        public final String domain;
        /** Names its rendering. */
        public final String renderer;
        /** The member that holds its id, in requests and in evidence. */
        public final String idMember;
        /** The member that holds its digest, in evidence. */
        public final String digestMember;
        /** Where Marque answers for it, followed by the id. */
        public final String path;
        /** The type of the realm's request for it. */
        public final String requestType;
        /** The type of Marque's answer. */
        public final String answerType;
        /** The authorization parameter by which it is pushed. */
        public final String parameter;

        Kind(String domain, String renderer, String idMember, String digestMember, String path, String requestType,
             String answerType, String parameter) {
            this.domain = domain;
            this.renderer = renderer;
            this.idMember = idMember;
            this.digestMember = digestMember;
            this.path = path;
            this.requestType = requestType;
            this.answerType = answerType;
            this.parameter = parameter;
        }
    }
}
