package dev.marque.keycloak.plan;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** Steps in the order in which they are shown, called by the number under which they are shown. */
final class KnownSteps {

    private final Map<String, Integer> places = new HashMap<>();
    private final List<Step> steps = new ArrayList<>();

    /** Adds the next step. */
    void add(Step step) throws PlanRefused {
        if (places.putIfAbsent(step.id(), steps.size()) != null) {
            throw new PlanRefused("two steps have one id");
        }
        steps.add(step);
    }

    List<Step> inOrder() {
        return List.copyOf(steps);
    }

    boolean has(String id) {
        return places.containsKey(id);
    }

    /** The word for a step. */
    String step(String id) throws PlanRefused {
        return "step " + (place(id) + 1);
    }

    /** The words for several steps, in the order in which they are shown. */
    String steps(List<String> ids, String joint) throws PlanRefused {
        List<Integer> shown = new ArrayList<>();
        for (String id : ids) {
            shown.add(place(id) + 1);
        }
        return shown.stream().sorted().map(place -> "step " + place).collect(Collectors.joining(joint));
    }

    /** The words for the steps of a group, each of which excludes the others. */
    String group(String group) throws PlanRefused {
        return steps(steps.stream().filter(step -> group.equals(step.conditions().group())).map(Step::id).toList(),
                ", ");
    }

    /** A step's result; where there may be several, any of them is meant. */
    String aResult(String id) throws PlanRefused {
        return (isDoneOnce(id) ? "the result of " : "one of the results of ") + step(id);
    }

    /** A step's result; where there may be several, they count together. */
    String allResults(String id) throws PlanRefused {
        return (isDoneOnce(id) ? "the result of " : "all results of ") + step(id);
    }

    /** The words for an argument that a step binds. */
    String argument(String id, String name) throws PlanRefused {
        Step step = steps.get(place(id));
        if (name.equals(ConstraintReader.FURTHER) || !step.args().containsKey(name)) {
            throw new PlanRefused("step " + id + " binds no argument " + name);
        }
        return "argument " + CanonicalJson.string(name) + " of " + (isDoneOnce(id) ? "" : "one of the uses of ")
                + step(id);
    }

    private boolean isDoneOnce(String id) throws PlanRefused {
        return steps.get(place(id)).uses() == 1;
    }

    private int place(String id) throws PlanRefused {
        Integer place = places.get(id);
        if (place == null) {
            throw new PlanRefused("there is no step " + id + " here");
        }
        return place;
    }
}
