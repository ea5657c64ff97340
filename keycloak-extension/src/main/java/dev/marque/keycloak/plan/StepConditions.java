package dev.marque.keycloak.plan;

import java.util.List;

/**
 * When and how a step may be used.
 *
 * @param after steps that must be done before, all of them earlier ones
 * @param group at most one step of it is used; null if the step is in none
 * @param window the words for when it may be done; null if at any time
 * @param environment a word of its catalog; null if in any environment
 * @param stepUp whether the person is asked again at each call
 * @param added whether Marque added the step
 */
record StepConditions(List<String> after, String group, String window, String environment, boolean stepUp,
                      boolean added) {

    static StepConditions of(Members step, KnownSteps earlier) throws PlanRefused {
        List<String> after = step.has("after") ? step.distinctTexts("after") : List.of();
        for (String id : after) {
            earlier.step(id);
        }
        boolean added = step.flag("added");
        if (added && ActionClass.of(step.text("class")) != ActionClass.READ) {
            throw new PlanRefused("an added step that is not a read");
        }
        return new StepConditions(after, optional(step, "group"),
                step.has("window") ? ValueKinds.window(step.object("window")) : null, optional(step, "environment"),
                stepUp(step), added);
    }

    private static boolean stepUp(Members step) throws PlanRefused {
        if (step.text("approve").equals("step_up")) {
            return true;
        }
        step.require("approve", "plan");
        return false;
    }

    private static String optional(Members step, String name) throws PlanRefused {
        return step.has(name) ? step.identifier(name) : null;
    }
}
