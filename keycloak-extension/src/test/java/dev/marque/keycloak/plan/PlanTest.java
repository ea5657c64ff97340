package dev.marque.keycloak.plan;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.charset.StandardCharsets;
import java.util.List;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A plan with one member that says something else, or says it in another form, is refused. */
class PlanTest {

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
        "/steps/1|after|[]", "/steps/1|after|['live']", "/steps/1|after|['stage']", "/steps/1|after|['nobody']",
        "/steps/1|after|['check','check']", "/steps/1|after|'check'", "/steps/1|after|null", "/steps/2|group|''",
        "/steps/2|group|7", "/steps/2|group|null", "/steps/2|window|{}", "/steps/2|window|{'from':'tomorrow'}",
        "/steps/2|window|{'from':'2026-11-22T03:00:00Z','to':'2026-11-22T02:00:00Z'}",
        "/steps/2|window|{'from':'2026-11-22T01:00:00Z','days':7}", "/steps/2|environment|'test'",
        "/steps/2|environment|''", "/steps/2|environment|null", "/steps/2|approve|'later'", "/steps/2|approve|true",
        "/steps/2|added|true", "/steps/2|added|'no'", "/steps/2|when|'now'", "/steps/2|uses|10001", "/steps/2|uses|0",
        "/steps/2|uses|'many'", "/steps/2|args|{'version':{'quote':{'step':'live'}}}",
        "/steps/2|args|{'version':{'quote':{'step':'back'}}}", "/steps/2/resource|id|{'quote':{'step':'back'}}",
        "/steps/2/resource|id|{'optional':{'any':true}}", "/steps/2/resource|id|''", "/steps/2/resource|kind|'x'",
        "/delegates/0|steps|['back','back']", "/limits|max_step_ups|21", "/limits|max_step_ups|'2'",
        "|mode|'free'", "|mode|null"})
    void refusesAnotherCondition(String at, String name, String value) throws PlanRefused {
        refused("step-conditions", at, name, value);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
        "/limits|turns|0", "/limits|turns|10001", "/limits|turns|null", "/limits|max_hops|9", "/limits|max_hops|-1",
        "/limits|max_hops|'1'", "/limits|lifetime_secs|60", "/limits|expires_at|'2026-11-22T03:00:00.0Z'",
        "/limits|budgets|[]", "/limits|budgets|{}", "/limits/budgets/0|steps|[]", "/limits/budgets/0|steps|['four']",
        "/limits/budgets/0|steps|['one','one']", "/limits/budgets/0|max|'-1'", "/limits/budgets/0|max|100",
        "/limits/budgets/0|max|'1e2'", "/limits/budgets/0|currency|'euro'", "/limits/budgets/0|arg|null",
        "/limits/budgets/2|currency|'EUR'", "/limits/budgets/2|per|'day'", "|blocked|[]", "|blocked|null",
        "|blocked|[{}]", "|blocked|[{'resource':{}}]", "|blocked|[{'user':'eve'}]", "|blocked|[{'action':''}]",
        "|blocked|[{'action':null}]", "|blocked|[{'action':['a']}]", "|blocked|[{'location':7}]",
        "|blocked|[{'resource':{'type':'x','name':'y'}}]", "|blocked|[{'resource':{'id':7}}]",
        "|blocked|[{'resource':{'id':{'quote':{'step':'one'}}}}]", "|blocked|['invoice.pay']"})
    void refusesAnotherLimit(String at, String name, String value) throws PlanRefused {
        refused("limits-and-blocked", at, name, value);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {"|started_by|'nobody'", "|started_by|null",
        "|started_by|true", "|started_by|''", "|started_by|['user']"})
    void refusesAnotherWordForWhoBegan(String at, String name, String value) throws PlanRefused {
        refused("started-by-user", at, name, value);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {"|mode|'strict'", "/steps/0|added|true", "/steps/2|added|false"})
    void refusesAddedStepsThatAreNotReadsBehindTheStatedOnes(String at, String name, String value) throws PlanRefused {
        refused("permissive-with-added-steps", at, name, value);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
        "{'client_id':'a'}", "{'client_id':'a','jkt':'k','x5t#S256':'c'}", "{'client_id':'a','jkt':null,'x5t#S256':'c'}",
        "{'client_id':'a','jkt':''}", "{'client_id':'a','x5t#S256':7}", "{'client_id':'a','cnf':{'jkt':'k'}}",
        "{'jkt':'k'}", "null"})
    void refusesAnAgentThatProvesNotExactlyOneThing(String value) throws PlanRefused {
        refused("unbounded-uses", "", "agent", value);
    }

    @Test
    void readsAnAgentThatProvesACertificate() throws PlanRefused {
        ObjectNode plan = plan("unbounded-uses");
        plan.putObject("agent").put("client_id", "a").put("x5t#S256", "c");
        assertEquals("a", Plan.of(Vectors.canonical(plan)).agent());
    }

    @Test
    void refusesMoreThanAPersonReads() throws PlanRefused {
        ObjectNode plan = plan("limits-and-blocked");
        plan.put("purpose", "a".repeat(280));
        Plan.of(Vectors.canonical(plan));
        plan.put("purpose", "a".repeat(281));
        assertThrows(PlanRefused.class, () -> Plan.of(Vectors.canonical(plan)));
        plan.put("purpose", "a");
        ArrayNode budgets = (ArrayNode) plan.at("/limits/budgets");
        while (budgets.size() < LanguageLimits.BUDGETS) {
            budgets.add(budgets.get(0));
        }
        assertEquals(LanguageLimits.BUDGETS, Plan.of(Vectors.canonical(plan)).limits().budgets().size());
        budgets.add(budgets.get(0));
        assertThrows(PlanRefused.class, () -> Plan.of(Vectors.canonical(plan)));
    }

    @Test
    void refusesMoreStepsThanAPersonReads() throws PlanRefused {
        ObjectNode plan = plan("unbounded-uses");
        ArrayNode steps = (ArrayNode) plan.get("steps");
        while (steps.size() < LanguageLimits.STEPS) {
            steps.add(((ObjectNode) steps.get(0).deepCopy()).put("id", "more-" + steps.size()));
        }
        assertEquals(LanguageLimits.STEPS, Plan.of(Vectors.canonical(plan)).steps().size());
        steps.add(((ObjectNode) steps.get(0).deepCopy()).put("id", "last"));
        assertThrows(PlanRefused.class, () -> Plan.of(Vectors.canonical(plan)));
    }

    @Test
    void refusesTextThatReadsAsSomethingElse() throws PlanRefused {
        for (String text : List.of("a\u202eb", "a\u200bb", "e\u0301", "a\nb", "\u0378")) {
            ObjectNode plan = plan("limits-and-blocked");
            ((ObjectNode) plan.at("/blocked/0")).put("action", text);
            assertThrows(PlanRefused.class, () -> Plan.of(Vectors.canonical(plan)));
        }
    }

    @Test
    void acceptsAStepAtMostAsOftenAsTheLanguageSays() throws PlanRefused {
        ObjectNode plan = plan("step-conditions");
        ((ObjectNode) plan.at("/steps/2")).put("uses", 10000);
        assertEquals(10000, Plan.of(Vectors.canonical(plan)).steps().get(2).uses());
    }

    /** Only a step that was resolved as the gravest is shown without its catalog: leaving one out hides nothing. */
    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {"class|'pay'", "approve|'plan'", "added|true",
        "environment|'production'", "uses|'any'"})
    void refusesAMilderStepThatNoCatalogDescribes(String name, String value) throws PlanRefused {
        refused("cannot-be-explained", "/steps/0", name, value);
        refused("cannot-be-explained", "/steps/1", name, value);
    }

    /** The catalogs stay as they are; the change is refused by the plan's parser or because no catalog says so. */
    private static void refused(String vector, String at, String name, String value) throws PlanRefused {
        JsonNode whole = Vectors.display(vector);
        byte[] json = ("{\"value\":" + value.replace('\'', '"') + "}").getBytes(StandardCharsets.UTF_8);
        ObjectNode holder = (ObjectNode) whole.at("/plan" + (at == null ? "" : at));
        holder.set(name, StrictJson.object(json, "test").get("value"));
        assertThrows(PlanRefused.class, () -> {
            Plan plan = Plan.of(Vectors.canonical(whole.get("plan")));
            Catalogs.of(plan, List.of(Catalog.of(Vectors.canonical(whole.at("/catalogs/0")))));
        });
    }

    private static ObjectNode plan(String vector) throws PlanRefused {
        return (ObjectNode) Vectors.display(vector).get("plan");
    }
}
