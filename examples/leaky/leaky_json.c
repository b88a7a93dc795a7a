/* The decoder of examples/json with a leak: everything is the same but for this copy of
 * json_object.c, in which one error path forgets a handle. */
#include "../json/json.h"

/* Decodes `"key": value` into the dict. Returns 1, or 0 with an exception set. */
static int decode_item(JsonDecoder *d, HPy dict)
{
    HPyContext *ctx = d->ctx;
    json_skip_space(d);
    if (!json_accept(d, '"')) {
        json_error(d, "Expecting property name enclosed in double quotes", d->pos);
        return 0;
    }
    HPy key = json_decode_string(d);
    if (HPy_IsNull(key))
        return 0;
    json_skip_space(d);
    if (!json_accept(d, ':')) {
        json_error(d, "Expecting ':' delimiter", d->pos);
        return 0; /* the leak: key is open */
    }
    json_skip_space(d);
    HPy value = json_decode_value(d);
    if (HPy_IsNull(value)) {
        HPy_Close(ctx, key);
        return 0;
    }
    int status = HPy_SetItem(ctx, dict, key, value);
    HPy_Close(ctx, value);
    HPy_Close(ctx, key);
    return status == 0;
}

HPy json_decode_object(JsonDecoder *d)
{
    HPyContext *ctx = d->ctx;
    HPy dict = HPyDict_New(ctx);
    if (HPy_IsNull(dict))
        return HPy_NULL;
    json_skip_space(d);
    if (json_accept(d, '}'))
        return dict;
    do {
        if (!decode_item(d, dict))
            goto error;
        json_skip_space(d);
    } while (json_accept(d, ','));
    if (json_accept(d, '}'))
        return dict;
    json_error(d, "Expecting ',' delimiter", d->pos);

error:
    HPy_Close(ctx, dict);
    return HPy_NULL;
}

HPy_MODINIT(leaky_json, json_module)
