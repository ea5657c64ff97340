package dev.marque.keycloak.plan;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** The lines a person reads for a plan: the renderer {@code marque-lines/1}, specified by {@code vectors/display}. */
public final class DisplayLines {

    /** Names this way of rendering in the display record. */
    public static final String RENDERER = "marque-lines/1";
    /** The only locale so far. */
    public static final String LOCALE = "en";

    private final Plan plan;
    private final Catalogs catalogs;
    private final List<DisplayLine> lines = new ArrayList<>();

    private DisplayLines(Plan plan, Catalogs catalogs) {
        this.plan = plan;
        this.catalogs = catalogs;
    }

    /**
     * Renders a plan.
     *
     * @throws PlanRefused if a line would hold a character that a person cannot see
     */
    static List<DisplayLine> render(Plan plan, Catalogs catalogs) throws PlanRefused {
        DisplayLines display = new DisplayLines(plan, catalogs);
        display.head();
        for (int i = 0; i < plan.steps().size(); i++) {
            display.step(i + 1, plan.steps().get(i));
        }
        for (DisplayLine line : display.lines) {
            if (HiddenCharacters.in(line.text())) {
                throw new PlanRefused("a line holds a character that cannot be seen");
            }
        }
        return List.copyOf(display.lines);
    }

    /** SHA-256 over the lines in UTF-8, each followed by a line feed. */
    public static byte[] digest(List<DisplayLine> lines) {
        String text = lines.stream().map(line -> line.text() + "\n").collect(Collectors.joining());
        return Binary.sha256(text.getBytes(StandardCharsets.UTF_8));
    }

    private void head() throws PlanRefused {
        add(plan.agent() + " asks to act for " + plan.userName() + ".", false);
        if (plan.unasked()) {
            add("YOU DID NOT START THIS: " + plan.agent() + " asks on its own.", true);
        }
        add("The agent says (not checked): " + CanonicalJson.string(plan.purpose()), false);
        add(plan.limits().sentences(), false);
        add(totals(), false);
        if (plan.permissive()) {
            add("Reads that the steps need may have been added; each of those is marked ADDED.", false);
        }
        plan.limits().budgets().forEach(line -> add(line, false));
        plan.blocked().forEach(line -> add(line, false));
    }

    private String totals() throws PlanRefused {
        Map<ActionClass, Integer> counts = new EnumMap<>(ActionClass.class);
        int irreversible = 0;
        for (Step step : plan.steps()) {
            counts.merge(step.actionClass(), 1, Integer::sum);
            irreversible += catalogs.action(step).irreversible() ? 1 : 0;
        }
        String words = counts.entrySet().stream().map(each -> each.getValue() + " " + each.getKey().word)
                .collect(Collectors.joining(", "));
        String warning = irreversible == 0 ? "" : " " + irreversible + " cannot be undone.";
        return counted(plan.steps().size(), "action") + ": " + words + "." + warning;
    }

    private void step(int number, Step step) throws PlanRefused {
        CatalogAction action = catalogs.action(step);
        String badge = step.actionClass().badge() + (action.irreversible() ? " (IRREVERSIBLE)" : "");
        add(number + ". " + badge + ": " + action.template().sentence(step), action.irreversible());
        add("   " + step.action() + " on " + step.resourceType() + " " + step.resource().phraseWithin() + " at "
                + step.location(), step.resource().unbounded());
        step.args().forEach((name, constraint) -> add("   " + argument(name, constraint), constraint.unbounded()));
        add("   " + uses(step) + delegates(step), step.uses() == Step.ANY_NUMBER);
        conditions(step.conditions());
    }

    private void conditions(StepConditions conditions) throws PlanRefused {
        if (!conditions.after().isEmpty()) {
            add("   only after " + plan.known().steps(conditions.after(), " and "), false);
        }
        if (conditions.group() != null) {
            add("   at most one of the group " + CanonicalJson.string(conditions.group()) + ": "
                    + plan.known().group(conditions.group()), false);
        }
        if (conditions.window() != null) {
            add("   only " + conditions.window(), false);
        }
        if (conditions.environment() != null) {
            add("   only in the environment " + CanonicalJson.string(conditions.environment()), false);
        }
        if (conditions.stepUp()) {
            add("   STEP-UP: you are asked again for each call and shown its values", true);
        }
        if (conditions.added()) {
            add("   ADDED: the agent did not ask for it; the catalog says that it is needed", true);
        }
    }

    private static String argument(String name, Constraint constraint) {
        return name.equals(ConstraintReader.FURTHER) ? "ANY FURTHER ARGUMENTS (UNBOUNDED)"
                : name + ": " + constraint.phrase();
    }

    private static String uses(Step step) {
        if (step.uses() == Step.ANY_NUMBER) {
            return "any number of times (UNBOUNDED)";
        }
        return step.uses() == 1 ? "once" : "up to " + step.uses() + " times";
    }

    private String delegates(Step step) {
        String clients = plan.delegates().stream().filter(each -> each.steps().contains(step.id()))
                .map(Plan.Delegate::clientId).collect(Collectors.joining(", "));
        return clients.isEmpty() ? "" : "; also by " + clients;
    }

    /** A number of things, in words. */
    static String counted(long count, String noun) {
        return count + " " + noun + (count == 1 ? "" : "s");
    }

    private void add(String text, boolean danger) {
        lines.add(new DisplayLine(text, danger));
    }
}
