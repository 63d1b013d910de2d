import java.io.FileInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/**
 * Java's own client: one request, as the README has it.
 *
 * <p>{@code java Client.java URL KEY CERTIFICATE BODY}; prints the protocol, the status and the body, a line each. Over plain
 * HTTP it asks for an upgrade to HTTP/2, over TLS it offers HTTP/2 by ALPN.
 */
public final class Client {
    public static void main(String[] arguments) throws Exception {
        String url = arguments[0];
        HttpClient.Builder builder = HttpClient.newBuilder();
        if (url.startsWith("https:")) {
            builder.sslContext(trusting(arguments[2]));
        }
        HttpRequest request =
                HttpRequest.newBuilder(URI.create(url))
                        .header("Authorization", "Bearer " + arguments[1])
                        .header("Content-Type", "application/json")
                        .POST(HttpRequest.BodyPublishers.ofString(arguments[3]))
                        .build();
        HttpResponse<String> response = builder.build().send(request, HttpResponse.BodyHandlers.ofString());
        System.out.println(response.version() == HttpClient.Version.HTTP_2 ? "HTTP/2" : "HTTP/1.1");
        System.out.println(response.statusCode());
        System.out.println(response.body());
    }

    private static SSLContext trusting(String path) throws Exception {
        KeyStore trusted = KeyStore.getInstance(KeyStore.getDefaultType());
        trusted.load(null, null);
        try (FileInputStream file = new FileInputStream(path)) {
            trusted.setCertificateEntry("envgate", CertificateFactory.getInstance("X.509").generateCertificate(file));
        }
        TrustManagerFactory managers = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        managers.init(trusted);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, managers.getTrustManagers(), null);
        return context;
    }
}
