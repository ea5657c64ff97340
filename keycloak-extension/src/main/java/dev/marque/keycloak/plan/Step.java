package dev.marque.keycloak.plan;

import java.util.Map;

import com.fasterxml.jackson.databind.JsonNode;

/**
 * One step of a resolved plan.
 *
 * @param args constraints by argument name in canonical order; {@link ConstraintReader#FURTHER} stands for all
 *             unnamed ones
 * @param uses how often it may run; {@link #ANY_NUMBER} means without limit
 */
record Step(String id, String location, String action, String resourceType, Constraint resource,
            Map<String, Constraint> args, long uses, ActionClass actionClass, StepConditions conditions) {

    static final long ANY_NUMBER = -1;

    /** Reads the step that stands behind the earlier ones. */
    static Step of(JsonNode node, KnownSteps earlier) throws PlanRefused {
        Members step = Members.of(node, "step").only("id", "location", "action", "resource", "args", "uses", "class",
                "after", "group", "window", "environment", "approve", "added");
        ActionClass actionClass = ActionClass.of(step.text("class"));
        Members resource = step.object("resource").only("type", "id");
        return new Step(step.identifier("id"), step.identifier("location"), step.identifier("action"),
                resource.identifier("type"), Constraint.ofResourceId(resource.value("id"), "resource.id", earlier),
                args(step, earlier), uses(step, actionClass), actionClass, StepConditions.of(step, earlier));
    }

    /** Whether a step is resolved as one that no catalog describes. A milder one is not shown without its catalog. */
    boolean mayBeUnexplained() {
        return actionClass == ActionClass.GRANT && conditions.stepUp() && uses != ANY_NUMBER && !conditions.added()
                && conditions.environment() == null;
    }

    private static long uses(Members step, ActionClass actionClass) throws PlanRefused {
        if (!step.value("uses").isTextual()) {
            return step.integer("uses", 1, LanguageLimits.USES);
        }
        step.require("uses", "any");
        if (actionClass != ActionClass.READ) {
            throw new PlanRefused("only reads may be used any number of times");
        }
        return ANY_NUMBER;
    }

    private static Map<String, Constraint> args(Members step, KnownSteps earlier) throws PlanRefused {
        return step.has("args") ? ConstraintReader.arguments(step.object("args"), earlier) : Map.of();
    }
}
