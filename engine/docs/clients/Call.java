import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;

class Call {
    public static void main(String[] args) throws Exception {
        var url = System.getenv().getOrDefault("API_URL", "http://127.0.0.1:3010");
        var request = HttpRequest.newBuilder(URI.create(url + "/api/private-scoped"))
                .header("Authorization", "Bearer " + System.getenv("ACCESS_TOKEN"))
                .build();
        var response = HttpClient.newHttpClient().send(request, BodyHandlers.ofString());
        System.out.println(response.statusCode() + " " + response.body());
    }
}
