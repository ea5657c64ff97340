package dev.marque.keycloak.plan;

import java.util.ArrayList;
import java.util.List;

import com.fasterxml.jackson.databind.JsonNode;

/**
 * What bounds a plan as a whole.
 *
 * @param sentences the line that states the limits
 * @param budgets a line for each budget
 */
record PlanLimits(String sentences, List<String> budgets) {

    static PlanLimits of(Members limits, KnownSteps steps) throws PlanRefused {
        limits.only("expires_at", "max_hops", "turns", "max_step_ups", "budgets");
        StringBuilder line = new StringBuilder("Ends ");
        line.append(Forms.instant(limits.text("expires_at"), "limits.expires_at")).append('.');
        atMost(line, limits.integer("max_hops", 0, LanguageLimits.HOPS), "hop");
        if (limits.has("turns")) {
            atMost(line, limits.integer("turns", 1, LanguageLimits.TURNS), "turn");
        }
        if (limits.has("max_step_ups")) {
            atMost(line, limits.integer("max_step_ups", 0, LanguageLimits.STEP_UPS), "step-up");
        }
        List<String> budgets = new ArrayList<>();
        for (JsonNode node : limits.has("budgets") ? limits.list("budgets") : List.<JsonNode>of()) {
            budgets.add(budget(Members.of(node, "budget").only("steps", "arg", "max", "currency"), steps));
        }
        if (budgets.size() > LanguageLimits.BUDGETS) {
            throw new PlanRefused("more budgets than anybody reads");
        }
        return new PlanLimits(line.toString(), List.copyOf(budgets));
    }

    private static void atMost(StringBuilder line, long count, String noun) {
        line.append(" At most ").append(DisplayLines.counted(count, noun)).append('.');
    }

    private static String budget(Members budget, KnownSteps steps) throws PlanRefused {
        String max = Forms.decimal(budget.text("max"), "budget.max");
        Forms.ascending("0", max, "budget");
        List<String> ids = budget.distinctTexts("steps");
        String of = max + (max.equals("1") ? " use of " : " uses of ");
        if (budget.has("arg")) {
            String currency = budget.has("currency") ? " " + Forms.currency(budget.text("currency"), "budget") : "";
            of = max + currency + " in argument " + CanonicalJson.string(budget.identifier("arg")) + " of ";
        } else if (budget.has("currency")) {
            throw new PlanRefused("a budget of uses in a currency");
        }
        return "Budget: at most " + of + steps.steps(ids, ", ") + (ids.size() > 1 ? " together." : ".");
    }
}
