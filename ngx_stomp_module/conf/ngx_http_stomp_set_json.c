
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ndk.h>
#include <ngx_http_stomp_set_json.h>
#include <ngx_stomp_json.h>


static ngx_int_t ngx_http_stomp_set_json_decoded(ngx_http_request_t *r,
    ngx_str_t *res, ngx_http_variable_value_t *v);
static ngx_int_t ngx_http_stomp_set_json_raw(ngx_http_request_t *r,
    ngx_str_t *res, ngx_http_variable_value_t *v);
static ngx_int_t ngx_http_stomp_set_json_value(ngx_http_request_t *r,
    ngx_str_t *res, ngx_str_t *value);


static ndk_set_var_t  ngx_http_stomp_set_json_filters[] = {
    { NDK_SET_VAR_VALUE, (void *) ngx_http_stomp_set_json_decoded, 1, NULL },
    { NDK_SET_VAR_VALUE, (void *) ngx_http_stomp_set_json_raw, 1, NULL }
};


char *
ngx_http_stomp_set_json(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    if (cf->args->nelts == 4 && ngx_strcmp(value[3].data, "raw") != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", the third one can only "
                           "be \"raw\"", &value[3]);
        return NGX_CONF_ERROR;
    }

    return ndk_set_var_value_core(cf, &value[1], &value[2],
                     &ngx_http_stomp_set_json_filters[cf->args->nelts == 4]);
}


/* as a form sends it: "+" is a space, "%" and two digits are an octet */

static ngx_int_t
ngx_http_stomp_set_json_decoded(ngx_http_request_t *r, ngx_str_t *res,
    ngx_http_variable_value_t *v)
{
    u_char     *p, *last, *dst;
    ngx_int_t   c;
    ngx_str_t   value;

    value.data = ngx_pnalloc(r->pool, v->len);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    dst = value.data;
    last = v->data + v->len;

    for (p = v->data; p < last; p++) {

        if (*p == '+') {
            *dst++ = ' ';
            continue;
        }

        c = (*p == '%' && last - p > 2) ? ngx_hextoi(p + 1, 2)
                                        : NGX_ERROR;
        if (c == NGX_ERROR) {
            *dst++ = *p;
            continue;
        }

        *dst++ = (u_char) c;
        p += 2;
    }

    value.len = dst - value.data;

    return ngx_http_stomp_set_json_value(r, res, &value);
}


static ngx_int_t
ngx_http_stomp_set_json_raw(ngx_http_request_t *r, ngx_str_t *res,
    ngx_http_variable_value_t *v)
{
    ngx_str_t  value;

    value.data = v->data;
    value.len = v->len;

    return ngx_http_stomp_set_json_value(r, res, &value);
}


static ngx_int_t
ngx_http_stomp_set_json_value(ngx_http_request_t *r, ngx_str_t *res,
    ngx_str_t *value)
{
    res->len = ngx_stomp_json_string_len(value);
    res->data = ngx_pnalloc(r->pool, res->len);

    if (res->data == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_stomp_json_string(res->data, value);

    return NGX_OK;
}
