
/*
 * Copyright (C) ngx_stomp_module contributors
 */


#include <fuzz.h>


/* the only function of ngx_devel_kit that the module calls, for a directive */

void *ndk_set_var_value_core(void);


void *
ndk_set_var_value_core(void)
{
    fuzz_fail(__FILE__, __LINE__, "no directive of the kit is used");
}
