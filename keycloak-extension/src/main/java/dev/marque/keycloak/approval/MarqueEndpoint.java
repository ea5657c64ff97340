package dev.marque.keycloak.approval;

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** Marque's HTTP end. One for the whole server; it waits at most three seconds and reads at most 512 KiB. */
final class MarqueEndpoint {

    private static final int LARGEST_ANSWER = 512 * 1024;
    private static final Duration CONNECT = Duration.ofSeconds(2);
    private static final Duration TOTAL = Duration.ofSeconds(3);

    private final HttpClient http = HttpClient.newBuilder()
            .version(HttpClient.Version.HTTP_1_1)
            .connectTimeout(CONNECT)
            .followRedirects(HttpClient.Redirect.NEVER)
            .build();

    /**
     * Fetches an answer of Marque's, which is still to be verified.
     *
     * @throws Refusal.Refused if Marque no longer has the plan
     * @throws PlanUnavailable for anything else but a good answer
     */
    byte[] fetch(String url, String requestJwt) throws Refusal.Refused, PlanUnavailable {
        HttpResponse<byte[]> response = send(request(url, requestJwt));
        if (response.statusCode() == 404 || response.statusCode() == 410) {
            throw new Refusal.Refused(Refusal.PLAN_GONE);
        }
        if (response.statusCode() != 200) {
            throw new PlanUnavailable("Marque answered with status " + response.statusCode());
        }
        if (!"application/jose".equals(response.headers().firstValue("Content-Type").orElse(""))) {
            throw new PlanUnavailable("Marque answered with another content type than application/jose");
        }
        return response.body();
    }

    private static HttpRequest request(String url, String requestJwt) throws PlanUnavailable {
        try {
            return HttpRequest.newBuilder(URI.create(url)).timeout(TOTAL)
                    .header("Authorization", "Bearer " + requestJwt).GET().build();
        } catch (IllegalArgumentException e) {
            throw new PlanUnavailable("marqueUrl is not an HTTP URL");
        }
    }

    private HttpResponse<byte[]> send(HttpRequest request) throws PlanUnavailable {
        CompletableFuture<HttpResponse<byte[]>> sent = http.sendAsync(request, info -> new LimitedBody(LARGEST_ANSWER));
        try {
            return sent.get(TOTAL.toMillis(), TimeUnit.MILLISECONDS);
        } catch (TimeoutException e) {
            sent.cancel(true);
            throw new PlanUnavailable("Marque did not answer in time");
        } catch (ExecutionException e) {
            throw new PlanUnavailable("Marque cannot be reached: " + e.getCause());
        } catch (InterruptedException e) {
            sent.cancel(true);
            Thread.currentThread().interrupt();
            throw new PlanUnavailable("interrupted while waiting for Marque");
        }
    }
}
