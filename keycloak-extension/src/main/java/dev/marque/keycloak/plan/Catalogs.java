package dev.marque.keycloak.plan;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The catalogs of one plan, in the order in which the plan lists them; together they describe each of its steps. */
final class Catalogs {

    private final Map<String, Catalog> byLocation = new HashMap<>();
    private final byte[] digest;

    private Catalogs(List<Catalog> ordered) {
        ordered.forEach(catalog -> byLocation.put(catalog.location(), catalog));
        digest = Binary.sha256(ordered.stream().map(Catalog::digest).toArray(byte[][]::new));
    }

    /**
     * Matches the catalogs at hand to those that the plan was resolved against.
     *
     * @throws PlanRefused if one is missing or left over, or does not describe a step as the plan does
     */
    static Catalogs of(Plan plan, List<Catalog> atHand) throws PlanRefused {
        if (atHand.size() != plan.catalogs().size()) {
            throw new PlanRefused("not exactly the catalogs that the plan lists");
        }
        List<Catalog> ordered = new ArrayList<>();
        for (Plan.CatalogReference reference : plan.catalogs()) {
            ordered.add(atHand.stream().filter(catalog -> matches(catalog, reference)).findFirst().orElseThrow(
                    () -> new PlanRefused("no catalog matches the plan's entry for " + reference.location())));
        }
        Catalogs catalogs = new Catalogs(ordered);
        for (Step step : plan.steps()) {
            catalogs.check(step);
        }
        return catalogs;
    }

    /** SHA-256 of the catalogs' digests, one after the other in the plan's order. */
    byte[] digest() {
        return digest;
    }

    /**
     * How the catalog of a step's location describes the step's action; of a step of the gravest kind that none
     * describes, that nothing is known.
     */
    CatalogAction action(Step step) throws PlanRefused {
        Catalog catalog = byLocation.get(step.location());
        boolean described = catalog != null && catalog.actions().containsKey(step.action());
        if (!described && step.mayBeUnexplained()) {
            return CatalogAction.unexplained(step.resourceType(), step.args().keySet());
        }
        if (catalog == null) {
            throw new PlanRefused("no catalog for the location of step " + step.id());
        }
        CatalogAction action = catalog.actions().get(step.action());
        if (action == null) {
            throw new PlanRefused("the catalog lacks the action of step " + step.id());
        }
        return action;
    }

    private void check(Step step) throws PlanRefused {
        CatalogAction action = action(step);
        if (action.actionClass() != step.actionClass()) {
            throw new PlanRefused("step " + step.id() + " is of another class than its catalog says");
        }
        if (!action.resourceType().equals(step.resourceType())) {
            throw new PlanRefused("step " + step.id() + " has another type of resource than its catalog says");
        }
        if (!step.args().entrySet().stream().allMatch(each -> action.describes(each.getKey(), each.getValue()))) {
            throw new PlanRefused("step " + step.id() + " has an argument that its catalog does not describe so");
        }
        String environment = step.conditions().environment();
        if (environment != null && !byLocation.get(step.location()).environments().contains(environment)) {
            throw new PlanRefused("step " + step.id() + " is for an environment that its catalog does not name");
        }
    }

    private static boolean matches(Catalog catalog, Plan.CatalogReference reference) {
        return catalog.location().equals(reference.location()) && catalog.version() == reference.version()
                && Arrays.equals(catalog.digest(), reference.sha256());
    }
}
