/* Writer: writes JSON piece by piece to a file, for what is too large to be one object.
 *
 *     with Writer(file) as w:
 *         w.begin_dict()
 *         w.key("rows")
 *         w.begin_list()
 *         for row in rows:
 *             w.write(row)
 *         w.end()
 *         w.end()
 *
 * A value at the top level ends its line, so several of them are JSON Lines. The file is any object
 * with a method write(str). */
#include "json.h"

/* As deep as lists and dicts that are begun one by one may be nested. */
enum { MAX_OPEN = 100 };

typedef enum {
    BEFORE_FIRST, /* nothing is in it yet */
    BEFORE_NEXT,  /* a comma comes first */
    AFTER_KEY     /* in a dict: the value of a key must come */
} State;

typedef struct {
    HPyField file; /* null when closed */
    int ensure_ascii;
    int n_open;
    struct {
        char closing; /* bracket or brace */
        State state;
    } open[MAX_OPEN];
} Writer;

HPyType_HELPERS(Writer)

HPyDef_SLOT(Writer_traverse, HPy_tp_traverse)
static int Writer_traverse_impl(void *self, HPyFunc_visitproc visit, void *arg)
{
    Writer *w = (Writer *)self;
    HPy_VISIT(&w->file);
    return 0;
}

HPyDef_SLOT(Writer_new, HPy_tp_new)
static HPy Writer_new_impl(HPyContext *ctx, HPy type, const HPy *args, HPy_ssize_t nargs, HPy kw)
{
    static const char *keywords[] = {"file", "ensure_ascii", NULL};
    HPyTracker tracker;
    HPy file;
    Writer *w;
    int ensure_ascii = 1;
    if (!HPyArg_ParseKeywordsDict(ctx, &tracker, args, nargs, kw, "O|$p:Writer", keywords, &file,
                                  &ensure_ascii))
        return HPy_NULL;
    HPy self = HPy_New(ctx, type, &w); /* all zero: at the top level, nothing begun */
    if (!HPy_IsNull(self)) {
        w->ensure_ascii = ensure_ascii;
        HPyField_Store(ctx, self, &w->file, file);
    }
    HPyTracker_Close(ctx, tracker);
    return self;
}

static HPy raise(HPyContext *ctx, const char *message)
{
    return HPyErr_SetString(ctx, ctx->h_ValueError, message);
}

/* The writer, if it is open. NULL with an exception set otherwise. */
static Writer *open_writer(HPyContext *ctx, HPy self)
{
    Writer *w = Writer_AsStruct(ctx, self);
    if (HPyField_IsNull(w->file)) {
        raise(ctx, "the Writer is closed");
        return NULL;
    }
    return w;
}

static HPy none(HPyContext *ctx)
{
    return HPy_Dup(ctx, ctx->h_None);
}

/* file.write(text). Returns None, or HPy_NULL with an exception set. */
static HPy send(HPyContext *ctx, HPy self, Writer *w, const char *utf8, size_t size)
{
    HPy text = json_str_from_utf8(ctx, utf8, size);
    if (HPy_IsNull(text))
        return HPy_NULL;
    HPy file = HPyField_Load(ctx, self, w->file);
    HPy args = HPyTuple_Pack(ctx, 1, text);
    HPy result = HPy_NULL;
    if (!HPy_IsNull(args)) {
        result = HPy_CallMethodTupleDict_s(ctx, "write", file, args, HPy_NULL);
        HPy_Close(ctx, args);
    }
    HPy_Close(ctx, file);
    HPy_Close(ctx, text);
    if (HPy_IsNull(result))
        return HPy_NULL;
    HPy_Close(ctx, result);
    return none(ctx);
}

/* Appends what has to stand in front of a value. Returns 1, or 0 with an exception set. */
static int add_separator(HPyContext *ctx, const Writer *w, JsonBuffer *out)
{
    if (w->n_open == 0)
        return 1;
    if (w->open[w->n_open - 1].closing == '}') {
        if (w->open[w->n_open - 1].state == AFTER_KEY)
            return 1;
        raise(ctx, "in a dict, key() comes before each value");
        return 0;
    }
    return w->open[w->n_open - 1].state == BEFORE_FIRST || json_buffer_add(ctx, out, ", ", 2);
}

/* Notes that a value is complete, and ends the line at the top level. */
static int finish_value(HPyContext *ctx, Writer *w, JsonBuffer *out)
{
    if (w->n_open == 0)
        return json_buffer_add(ctx, out, "\n", 1);
    w->open[w->n_open - 1].state = BEFORE_NEXT;
    return 1;
}

HPyDef_METH(Writer_write, "write", HPyFunc_O, .doc = "write(value)\n--\n\nWrites a whole value.")
static HPy Writer_write_impl(HPyContext *ctx, HPy self, HPy value)
{
    Writer *w = open_writer(ctx, self);
    if (w == NULL)
        return HPy_NULL;
    JsonEncoder e = {ctx, {NULL, 0, 0}, w->ensure_ascii, 0};
    HPy result = HPy_NULL;
    if (add_separator(ctx, w, &e.out) && json_encode_value(&e, value) &&
        finish_value(ctx, w, &e.out))
        result = send(ctx, self, w, e.out.data, e.out.size);
    json_buffer_free(&e.out);
    return result;
}

HPyDef_METH(Writer_key, "key", HPyFunc_O,
            .doc = "key(name)\n--\n\nWrites the key of the value that comes next.")
static HPy Writer_key_impl(HPyContext *ctx, HPy self, HPy name)
{
    Writer *w = open_writer(ctx, self);
    if (w == NULL)
        return HPy_NULL;
    if (w->n_open == 0 || w->open[w->n_open - 1].closing != '}')
        return raise(ctx, "a key is for a dict; begin_dict() comes first");
    if (w->open[w->n_open - 1].state == AFTER_KEY)
        return raise(ctx, "the value of the last key is missing");
    if (!HPyUnicode_Check(ctx, name))
        return HPyErr_SetString(ctx, ctx->h_TypeError, "a key must be a str");
    JsonEncoder e = {ctx, {NULL, 0, 0}, w->ensure_ascii, 0};
    HPy result = HPy_NULL;
    if ((w->open[w->n_open - 1].state == BEFORE_FIRST || json_buffer_add(ctx, &e.out, ", ", 2)) &&
        json_encode_str(&e, name) && json_buffer_add(ctx, &e.out, ": ", 2)) {
        w->open[w->n_open - 1].state = AFTER_KEY;
        result = send(ctx, self, w, e.out.data, e.out.size);
    }
    json_buffer_free(&e.out);
    return result;
}

static HPy begin(HPyContext *ctx, HPy self, const char *opening, char closing)
{
    Writer *w = open_writer(ctx, self);
    if (w == NULL)
        return HPy_NULL;
    if (w->n_open == MAX_OPEN)
        return raise(ctx, "too many lists and dicts are open");
    JsonBuffer out = {NULL, 0, 0};
    HPy result = HPy_NULL;
    if (add_separator(ctx, w, &out) && json_buffer_add(ctx, &out, opening, 1)) {
        w->open[w->n_open].closing = closing;
        w->open[w->n_open].state = BEFORE_FIRST;
        w->n_open++;
        result = send(ctx, self, w, out.data, out.size);
    }
    json_buffer_free(&out);
    return result;
}

HPyDef_METH(Writer_begin_list, "begin_list", HPyFunc_NOARGS,
            .doc = "begin_list()\n--\n\nBegins a list; end() ends it.")
static HPy Writer_begin_list_impl(HPyContext *ctx, HPy self)
{
    return begin(ctx, self, "[", ']');
}

HPyDef_METH(Writer_begin_dict, "begin_dict", HPyFunc_NOARGS,
            .doc = "begin_dict()\n--\n\nBegins a dict; end() ends it.")
static HPy Writer_begin_dict_impl(HPyContext *ctx, HPy self)
{
    return begin(ctx, self, "{", '}');
}

HPyDef_METH(Writer_end, "end", HPyFunc_NOARGS,
            .doc = "end()\n--\n\nEnds the innermost list or dict.")
static HPy Writer_end_impl(HPyContext *ctx, HPy self)
{
    Writer *w = open_writer(ctx, self);
    if (w == NULL)
        return HPy_NULL;
    if (w->n_open == 0)
        return raise(ctx, "no list or dict is open");
    if (w->open[w->n_open - 1].state == AFTER_KEY)
        return raise(ctx, "the value of the last key is missing");
    JsonBuffer out = {NULL, 0, 0};
    HPy result = HPy_NULL;
    if (json_buffer_add(ctx, &out, &w->open[w->n_open - 1].closing, 1)) {
        w->n_open--;
        if (finish_value(ctx, w, &out))
            result = send(ctx, self, w, out.data, out.size);
    }
    json_buffer_free(&out);
    return result;
}

HPyDef_METH(Writer_close, "close", HPyFunc_NOARGS,
            .doc =
                "close()\n--\n\nLets the file go, without closing it. ValueError if a list or "
                "dict is still open.")
static HPy Writer_close_impl(HPyContext *ctx, HPy self)
{
    Writer *w = Writer_AsStruct(ctx, self);
    HPyField_Store(ctx, self, &w->file, HPy_NULL);
    if (w->n_open > 0) {
        w->n_open = 0;
        return raise(ctx, "closed before the end of a list or dict");
    }
    return none(ctx);
}

HPyDef_METH(Writer_enter, "__enter__", HPyFunc_NOARGS)
static HPy Writer_enter_impl(HPyContext *ctx, HPy self)
{
    return HPy_Dup(ctx, self);
}

HPyDef_METH(Writer_exit, "__exit__", HPyFunc_VARARGS)
static HPy Writer_exit_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    /* When the block raised, that is what went wrong, and not the unfinished text. */
    if (nargs > 0 && !HPy_Is(ctx, args[0], ctx->h_None))
        Writer_AsStruct(ctx, self)->n_open = 0;
    return Writer_close_impl(ctx, self);
}

HPyDef_GET(Writer_closed, "closed", .doc = "Whether close() was called.")
static HPy Writer_closed_get(HPyContext *ctx, HPy self, void *closure)
{
    (void)closure;
    return HPyBool_FromBool(ctx, HPyField_IsNull(Writer_AsStruct(ctx, self)->file));
}

static HPyDef *writer_defines[] = {
    &Writer_traverse,   &Writer_new,        &Writer_write,  &Writer_key,
    &Writer_begin_list, &Writer_begin_dict, &Writer_end,    &Writer_close,
    &Writer_enter,      &Writer_exit,       &Writer_closed, NULL,
};

static HPyType_Spec writer_spec = {
    .name = "hpyjson.Writer",
    .basicsize = sizeof(Writer),
    .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_HAVE_GC,
    .builtin_shape = SHAPE(Writer),
    .defines = writer_defines,
    .doc = "Writer(file, *, ensure_ascii=True)\n--\n\nWrites JSON piece by piece to a file.",
};

int json_writer_init(HPyContext *ctx, HPy module)
{
    return HPyHelpers_AddType(ctx, module, "Writer", &writer_spec, NULL);
}
