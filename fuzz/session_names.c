
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <session_client.h>


ngx_str_t
client_destination(ngx_uint_t n)
{
    static ngx_str_t  names[] = {
        ngx_string("/topic/a"),
        ngx_string("/topic/b"),
        ngx_string("/topic/c:d"),
        ngx_string("/topic/\xc3\xa9"),
        ngx_string("/topic/a-name-that-is-a-little-longer-than-the-others")
    };

    /* those of users, and one that only a user may subscribe to */

    static ngx_str_t  others[] = {
        ngx_string("/user/q"),
        ngx_string("/user/u%2Fv/q"),
        ngx_string("/user/"),
        ngx_string("/other/private")
    };

    return ((n & 0x38) == 0x38) ? others[n & 3] : names[n % 5];
}


ngx_str_t
client_listened(ngx_uint_t n)
{
    static ngx_str_t  patterns[] = {
        ngx_string("/topic/*"),
        ngx_string("/topic/**")
    };

    return (n % 8 < 6) ? client_destination(n) : patterns[n % 2];
}


ngx_str_t
client_subscription(ngx_uint_t n)
{
    static ngx_str_t  ids[] = {
        ngx_string("0"), ngx_string("1"), ngx_string("2"), ngx_string("3"),
        ngx_string("4"), ngx_string("5"), ngx_string("6"), ngx_string("7"),
        ngx_string("8"), ngx_string("a:b\\c"), ngx_string("")
    };

    return ids[n % 11];
}
