/* The module: its functions, its types and its globals. */
#include "json.h"

HPyDef_SLOT(json_exec, HPy_mod_exec)
static int json_exec_impl(HPyContext *ctx, HPy module)
{
    return json_decoder_init(ctx, module) && json_writer_init(ctx, module) ? 0 : -1;
}

static HPyDef *json_defines[] = {&json_exec, &json_loads, &json_dumps, NULL};
static HPyGlobal *json_globals[] = {&json_decode_error_type, NULL};

HPyModuleDef json_module = {
    .doc = "A JSON decoder and encoder in HPy.",
    .defines = json_defines,
    .globals = json_globals,
};
