import messagesclient.ApiClient;
import messagesclient.ApiException;
import messagesclient.api.MessagesApi;
import messagesclient.model.Problem;

class Call {
    public static void main(String[] args) throws Exception {
        var client = new ApiClient();
        client.setBasePath(System.getenv().getOrDefault("API_URL", "http://127.0.0.1:3010"));
        if (System.getenv("ACCESS_TOKEN") != null) {
            client.setBearerToken(System.getenv("ACCESS_TOKEN"));
        }
        try {
            System.out.println(new MessagesApi(client).privateScoped().getMessage());
        } catch (ApiException error) {
            var problem = client.getObjectMapper().readValue(error.getResponseBody(), Problem.class);
            System.out.println(error.getCode() + " " + problem.getCode());
        }
    }
}
