#import <Foundation/Foundation.h>

int main(void) {
    NSAutoreleasePool *pool = [NSAutoreleasePool new];
    NSDictionary *environment = [[NSProcessInfo processInfo] environment];
    NSString *server = [environment objectForKey:@"API_URL"] ?: @"http://127.0.0.1:3010";
    NSURL *url = [NSURL URLWithString:[server stringByAppendingString:@"/api/private-scoped"]];
    NSMutableURLRequest *request = [NSMutableURLRequest requestWithURL:url];
    [request setValue:[NSString stringWithFormat:@"Bearer %@", [environment objectForKey:@"ACCESS_TOKEN"]]
        forHTTPHeaderField:@"Authorization"];
    NSHTTPURLResponse *response = nil;
    NSError *error = nil;
    NSData *body = [NSURLConnection sendSynchronousRequest:request returningResponse:&response error:&error];
    NSString *text = [[NSString alloc] initWithData:body encoding:NSUTF8StringEncoding];
    printf("%d %s\n", (int)[response statusCode], error ? [[error description] UTF8String] : [text UTF8String]);
    [pool drain];
    return 0;
}
