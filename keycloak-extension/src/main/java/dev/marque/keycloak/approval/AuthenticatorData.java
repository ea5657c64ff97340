package dev.marque.keycloak.approval;

/** The flags of WebAuthn authenticator data (Web Authentication Level 3, section 6.1). */
final class AuthenticatorData {

    private static final int FLAGS_AT = 32;
    private static final int LEAST_BYTES = 37;
    private static final int USER_PRESENT = 0x01;
    private static final int USER_VERIFIED = 0x04;

    private AuthenticatorData() {
    }

    /** Whether the authenticator says that it saw a person and verified who it was. */
    static boolean userVerified(byte[] data) {
        int wanted = USER_PRESENT | USER_VERIFIED;
        return data.length >= LEAST_BYTES && (data[FLAGS_AT] & wanted) == wanted;
    }
}
