package dev.marque.keycloak.approval;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;

import dev.marque.keycloak.plan.PlanRefused;
import jakarta.ws.rs.core.MultivaluedHashMap;
import jakarta.ws.rs.core.MultivaluedMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class PostedAnswerTest {

    private static final String GOOD = "\"type\":\"webauthn.get\",\"challenge\":\"C\",\"origin\":\"http://localhost\"";

    @ParameterizedTest
    @ValueSource(strings = {"{" + GOOD + "}", "{" + GOOD + ",\"crossOrigin\":false}", "{" + GOOD + ",\"other_keys\":\"x\"}"})
    void acceptsAnAssertionForThisPage(String data) {
        assertDoesNotThrow(() -> check(data));
    }

    @ParameterizedTest
    @ValueSource(strings = {"{" + GOOD + ",\"crossOrigin\":true}", "{" + GOOD + ",\"crossOrigin\":\"false\"}",
            "{" + GOOD + ",\"crossOrigin\":null}", "{" + GOOD + ",\"topOrigin\":\"http://localhost\"}",
            "{" + GOOD + ",\"crossOrigin\":false,\"topOrigin\":null}", "{" + GOOD + ",\"crossOrigin\":false,\"crossOrigin\":true}"})
    void refusesAFramedAssertion(String data) {
        assertThrows(PlanRefused.class, () -> check(data));
    }

    @ParameterizedTest
    @ValueSource(strings = {"{\"type\":\"webauthn.create\",\"challenge\":\"C\"}", "{\"type\":\"webauthn.get\",\"challenge\":\"D\"}",
            "{\"type\":\"webauthn.get\"}", "{\"challenge\":\"C\"}", "{\"type\":\"webauthn.get\",\"challenge\":\"D\",\"challenge\":\"C\"}", "[]"})
    void refusesAnAssertionForSomethingElse(String data) {
        assertThrows(PlanRefused.class, () -> check(data));
    }

    @ParameterizedTest
    @CsvSource({"0,false", "1,false", "4,false", "5,true", "29,true", "25,false"})
    void wantsTheUserPresentAndVerified(int flags, boolean verified) {
        byte[] data = new byte[37];
        data[32] = (byte) flags;
        assertEquals(verified, AuthenticatorData.userVerified(data));
        assertFalse(AuthenticatorData.userVerified(new byte[36]));
    }

    @Test
    void readsAnAssertionOnlyIfEachPartIsThereOnce() {
        assertTrue(PostedAssertion.of(form("AA")).isPresent());
        assertNull(PostedAssertion.of(form("AA")).orElseThrow().userHandle());
        for (String name : new String[] {"credentialId", "clientDataJSON", "authenticatorData", "signature"}) {
            MultivaluedMap<String, String> missing = form("AA");
            missing.remove(name);
            assertTrue(PostedAssertion.of(missing).isEmpty(), name);
            MultivaluedMap<String, String> repeated = form("AA");
            repeated.add(name, "AA");
            assertTrue(PostedAssertion.of(repeated).isEmpty(), name);
            MultivaluedMap<String, String> malformed = form("AA");
            malformed.putSingle(name, "AA==");
            assertTrue(PostedAssertion.of(malformed).isEmpty(), name);
        }
    }

    @Test
    void takesADenialOfThisPageWithAReasonThatFits() {
        assertTrue(Denial.isWellFormed(denial("C", "x".repeat(280)), "C"));
        assertTrue(Denial.isWellFormed(denial("C", "\ud83d\ude00".repeat(280)), "C"));
        assertFalse(Denial.isWellFormed(denial("C", "x".repeat(281)), "C"));
        assertFalse(Denial.isWellFormed(denial("C", "a\nb"), "C"));
        assertFalse(Denial.isWellFormed(denial("D", "no"), "C"));
        assertFalse(Denial.isWellFormed(new MultivaluedHashMap<>(), "C"));
        assertNull(Denial.reason(denial("C", "  ")));
        assertEquals(" no ", Denial.reason(denial("C", " no ")));
    }

    @ParameterizedTest
    @CsvSource({"26.7.0,true", "26.7.4,true", "26.8.1,true", "26.10.0,true", "27.0.0,true", "999.0.0-SNAPSHOT,true",
        "26.7.4.redhat-00001,true", "26.6.9,false", "26.0.0,false", "25.9.9,false", "UNKNOWN,false", "26,false", "'',false"})
    void knowsWhichServersAreNewEnough(String version, boolean enough) {
        assertEquals(enough, ServerVersion.isNewEnough(version));
        assertFalse(ServerVersion.isNewEnough(null));
    }

    private static void check(String data) throws PlanRefused {
        ClientData.check(data.getBytes(StandardCharsets.UTF_8), "C");
    }

    private static MultivaluedMap<String, String> form(String value) {
        MultivaluedMap<String, String> form = new MultivaluedHashMap<>();
        for (String name : new String[] {"credentialId", "clientDataJSON", "authenticatorData", "signature"}) {
            form.putSingle(name, value);
        }
        form.putSingle("userHandle", "");
        return form;
    }

    private static MultivaluedMap<String, String> denial(String page, String reason) {
        MultivaluedMap<String, String> form = new MultivaluedHashMap<>();
        form.putSingle(Denial.FIELD, "1");
        form.putSingle(Denial.PAGE_FIELD, page);
        form.putSingle(Denial.REASON_FIELD, reason);
        return form;
    }
}
