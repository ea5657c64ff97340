package dev.marque.keycloak.plan;

import java.util.LinkedHashMap;
import java.util.Map;

import com.fasterxml.jackson.databind.JsonNode;

/**
 * One step of a resolved plan.
 *
 * @param uses how often it may run; {@link #ANY_NUMBER} means without limit
 * @param args constraints by argument name in canonical order; {@link #FURTHER_ARGUMENTS} stands for all unnamed ones
 */
record Step(String id, String location, String action, String resourceType, Constraint resource,
            Map<String, Constraint> args, long uses, ActionClass actionClass) {

    static final String FURTHER_ARGUMENTS = "*";
    static final long ANY_NUMBER = -1;

    static Step of(JsonNode node) throws PlanRefused {
        Members step = Members.of(node, "step").only("id", "location", "action", "resource", "args", "uses", "class",
                "approve", "added");
        step.require("approve", "plan");
        if (step.flag("added")) {
            throw new PlanRefused("a step that the agent did not ask for cannot be shown yet");
        }
        ActionClass actionClass = ActionClass.of(step.text("class"));
        Members resource = step.object("resource").only("type", "id");
        return new Step(step.text("id"), step.text("location"), step.text("action"), resource.text("type"),
                Constraint.ofResourceId(resource.value("id"), "resource.id"), args(step), uses(step, actionClass),
                actionClass);
    }

    private static long uses(Members step, ActionClass actionClass) throws PlanRefused {
        if (!step.value("uses").isTextual()) {
            return step.integer("uses", 1);
        }
        step.require("uses", "any");
        if (actionClass != ActionClass.READ) {
            throw new PlanRefused("only reads may be used any number of times");
        }
        return ANY_NUMBER;
    }

    private static Map<String, Constraint> args(Members step) throws PlanRefused {
        Map<String, Constraint> args = new LinkedHashMap<>();
        if (!step.has("args")) {
            return args;
        }
        Members members = step.object("args");
        for (String name : members.names()) {
            Constraint constraint = Constraint.of(members.value(name), "argument " + name);
            if (name.equals(FURTHER_ARGUMENTS) && !constraint.unbounded()) {
                throw new PlanRefused("further arguments cannot be constrained");
            }
            args.put(name, constraint);
        }
        return args;
    }
}
