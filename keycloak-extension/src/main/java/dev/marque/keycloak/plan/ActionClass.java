package dev.marque.keycloak.plan;

import java.util.Locale;

/** What an action does to the world, in the order in which the counts are shown. */
enum ActionClass {
    READ("read"),
    CREATE("create"),
    CHANGE("change"),
    DELETE("delete"),
    RUN("run"),
    SEND("send out"),
    PAY("pay"),
    GRANT("grant access");

    /** The word in the line of counts. */
    final String word;

    ActionClass(String word) {
        this.word = word;
    }

    /** The word in front of a step. */
    String badge() {
        return word.toUpperCase(Locale.ROOT);
    }

    static ActionClass of(String name) throws PlanRefused {
        for (ActionClass each : values()) {
            if (each.name().toLowerCase(Locale.ROOT).equals(name)) {
                return each;
            }
        }
        throw new PlanRefused("an unknown action class");
    }
}
