package dev.marque.keycloak.plan;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Set;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A catalog that says something else than this version knows is refused. */
class CatalogTest {

    private static final String WRITE = "/actions/file.update";
    private static final String USAGE = "/actions/disk.usage";

    @Test
    void readsEveryMember() throws PlanRefused {
        ObjectNode node = catalog();
        node.putArray("environments").add("production").add("staging");
        node.putObject("collections").putObject("tickets").put("source", "third_party");
        Catalog catalog = Catalog.of(Vectors.canonical(node));
        assertEquals(Set.of("production", "staging"), catalog.environments());
        assertEquals(2, catalog.actions().get("file.update").requires().size());
        assertEquals(false, catalog.actions().get("disk.usage").args().get("deep"));
        assertEquals(true, catalog.actions().get("disk.usage").args().get("unit"));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
        "|environments|[]", "|environments|['a','a']", "|environments|[7]", "|environments|null", "|surprise|1",
        "|collections|[]", "|collections|{'tickets':{}}", "|collections|{'tickets':{'source':'me'}}",
        "|collections|{'tickets':{'source':'third_party','of':1}}", "|collections|{'a‮':{'source':'third_party'}}",
        WRITE + "|surprise|1", WRITE + "|class|'write'", WRITE + "|requires|[]", WRITE + "|requires|{}",
        WRITE + "|requires|[{'action':'file.update'}]", WRITE + "|requires|[{'action':'nothing'}]",
        WRITE + "|requires|[{'action':'disk.usage'}]", WRITE + "|requires|[{'action':'file.stat','uses':2}]",
        WRITE + "|requires|[{'action':'file.stat','args':{'depth':{'const':1}}}]",
        WRITE + "|requires|[{'action':'file.stat','args':{'*':{'any':true}}}]",
        WRITE + "|requires|[{'action':'file.stat','resource':{'type':'file','id':{'quote':{'step':'s'}}}}]",
        WRITE + "|requires|[{'action':'disk.usage','resource':{'type':'disk','id':'d'},'args':{'unit':{'regex':'M'}}}]",
        USAGE + "|results|{'free':{'type':'integer','source':'authoritative'}}",
        USAGE + "|results|{'/free':{'type':'money','source':'authoritative'}}",
        USAGE + "|results|{'/free':{'type':'integer','source':'me'}}", USAGE + "|results|{'/free':{'type':'integer'}}",
        USAGE + "|results|{'/free':{'type':'integer','source':'authoritative','unit':'MB'}}",
        USAGE + "|results|{'/*/*':{'type':'integer','source':'authoritative'}}",
        USAGE + "/args/unit|type|'text'", USAGE + "/args/unit|sensitive|'secret'", USAGE + "/args/unit|sensitive|true",
        USAGE + "/args/unit|late|'no'", USAGE + "/args/unit|late|null", USAGE + "/args/unit|hidden|true",
        USAGE + "/args|*|{'type':'string'}", USAGE + "/display|en|'free \u202e'"})
    void refusesAnotherCatalog(String at, String name, String value) throws PlanRefused {
        ObjectNode catalog = catalog();
        byte[] json = ("{\"value\":" + value.replace('\'', '"') + "}").getBytes(StandardCharsets.UTF_8);
        ((ObjectNode) catalog.at(at == null ? "" : at)).set(name, StrictJson.object(json, "test").get("value"));
        assertThrows(PlanRefused.class, () -> Catalog.of(Vectors.canonical(catalog)));
    }

    /** Catalogs need not be canonical, so a number in another spelling would otherwise pass. */
    @Test
    void refusesNumbersThatParsersReadDifferently() throws PlanRefused {
        String good = CanonicalJson.of(catalog());
        Catalog.of(good.getBytes(StandardCharsets.UTF_8));
        for (String version : List.of("-0", "1.0", "1e0", "9007199254740992")) {
            byte[] bad = good.replace("\"version\":1", "\"version\":" + version).getBytes(StandardCharsets.UTF_8);
            assertThrows(PlanRefused.class, () -> Catalog.of(bad), version);
        }
    }

    @Test
    void refusesALateValueWhereTheResourceServerWantsNone() throws PlanRefused {
        JsonNode vector = Vectors.display("late-kinds");
        ObjectNode catalog = (ObjectNode) vector.at("/catalogs/0");
        Catalogs.of(plan(vector), List.of(Catalog.of(Vectors.canonical(catalog))));
        ((ObjectNode) catalog.at("/actions/invoice.pay/args/total")).put("late", false);
        ((ObjectNode) vector.at("/plan/catalogs/0")).put("sha256", Binary.encode(Binary.sha256(Vectors.canonical(catalog))));
        assertThrows(PlanRefused.class,
                () -> Catalogs.of(plan(vector), List.of(Catalog.of(Vectors.canonical(catalog)))));
    }

    private static Plan plan(JsonNode vector) throws PlanRefused {
        return Plan.of(Vectors.canonical(vector.get("plan")));
    }

    private static ObjectNode catalog() throws PlanRefused {
        return (ObjectNode) Vectors.display("permissive-with-added-steps").at("/catalogs/0");
    }
}
