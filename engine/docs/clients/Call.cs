using System;
using System.Net.Http;
using System.Net.Http.Headers;

static class Call
{
    static void Main()
    {
        var url = Environment.GetEnvironmentVariable("API_URL") ?? "http://127.0.0.1:3010";
        var token = Environment.GetEnvironmentVariable("ACCESS_TOKEN");
        using (var client = new HttpClient())
        {
            client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
            var response = client.GetAsync(url + "/api/private-scoped").Result;
            Console.WriteLine($"{(int)response.StatusCode} {response.Content.ReadAsStringAsync().Result}");
        }
    }
}
