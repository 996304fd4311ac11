using System;
using MessagesClient.Api;
using MessagesClient.Client;
using MessagesClient.Model;
using Newtonsoft.Json;

static class Call
{
    static void Main()
    {
        var configuration = new Configuration
        {
            BasePath = Environment.GetEnvironmentVariable("API_URL") ?? "http://127.0.0.1:3010",
            AccessToken = Environment.GetEnvironmentVariable("ACCESS_TOKEN"),
        };
        try
        {
            Console.WriteLine(new MessagesApi(configuration).PrivateScoped().VarMessage);
        }
        catch (ApiException error)
        {
            var problem = JsonConvert.DeserializeObject<Problem>((string)error.ErrorContent);
            Console.WriteLine($"{error.ErrorCode} {problem.Code}");
        }
    }
}
