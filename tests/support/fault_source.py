"""The extension of the tests about guarded memory: every wrong access that a test asks for."""

SOURCE = r"""
#include "hpy.h"
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *kept;
static volatile char sink;

static const char *text_of(HPyContext *ctx, HPy obj, long which)
{
    HPy_ssize_t size;
    switch (which) {
    case 0:
        return HPyUnicode_AsUTF8AndSize(ctx, obj, &size);  /* gives utf8 */
    case 1:
        return HPyBytes_AsString(ctx, obj);  /* gives bytes */
    case 2:
        return HPyBytes_AS_STRING(ctx, obj);  /* gives BYTES */
    default:
        return HPyType_GetName(ctx, obj);  /* gives name */
    }
}

static void touch(const char *at, int write)
{
    if (write)
        *(char *)at = 'X';  /* writes */
    else
        sink = *at;  /* reads */
}

/* after(obj, which, write): close, then access. */
HPyDef_METH(after, "after", HPyFunc_VARARGS)
static HPy after_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    long which = HPyLong_AsLong(ctx, args[1]);
    HPy h = HPy_Dup(ctx, args[0]);
    const char *text = text_of(ctx, h, which);  /* asks after */
    HPy_Close(ctx, h);  /* closes after */
    touch(text, HPyLong_AsLong(ctx, args[2]));  /* touches after */
    return HPy_Dup(ctx, ctx->h_None);
}

/* during(obj, which, offset, write): access while it is open. */
HPyDef_METH(during, "during", HPyFunc_VARARGS)
static HPy during_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    const char *text = text_of(ctx, args[0], HPyLong_AsLong(ctx, args[1]));  /* asks during */
    touch(text + HPyLong_AsLong(ctx, args[2]), HPyLong_AsLong(ctx, args[3]));  /* touches during */
    return HPy_Dup(ctx, ctx->h_None);
}

/* keep(obj, which) keeps the text of an argument; touch_kept() accesses it in another call. */
HPyDef_METH(keep, "keep", HPyFunc_VARARGS)
static HPy keep_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    kept = text_of(ctx, args[0], HPyLong_AsLong(ctx, args[1]));  /* asks keep */
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(touch_kept, "touch_kept", HPyFunc_O)
static HPy touch_kept_impl(HPyContext *ctx, HPy self, HPy arg)
{
    touch(kept, (int)HPyLong_AsLong(ctx, arg));  /* touches kept */
    return HPy_Dup(ctx, ctx->h_None);
}

/* What the C library, or the API, does with a pointer. */
HPyDef_METH(copy_kept, "copy_kept", HPyFunc_NOARGS)
static HPy copy_kept_impl(HPyContext *ctx, HPy self)
{
    char copy[16];
    volatile size_t size = 6;
    memcpy(copy, kept, size);  /* copies kept */
    sink = copy[0];
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(give_kept, "give_kept", HPyFunc_NOARGS)
static HPy give_kept_impl(HPyContext *ctx, HPy self)
{
    return HPyUnicode_FromString(ctx, kept);  /* passes kept */
}

static void *run(void *arg)
{
    touch(kept, 0);  /* touches in a thread */
    return NULL;
}

HPyDef_METH(touch_in_thread, "touch_in_thread", HPyFunc_NOARGS)
static HPy touch_in_thread_impl(HPyContext *ctx, HPy self)
{
    pthread_t thread;
    pthread_create(&thread, NULL, run, NULL);
    pthread_join(thread, NULL);
    return HPy_Dup(ctx, ctx->h_None);
}

/* Without the interpreter. */
HPyDef_METH(touch_outside, "touch_outside", HPyFunc_NOARGS)
static HPy touch_outside_impl(HPyContext *ctx, HPy self)
{
    HPyThreadState state = HPy_LeavePythonExecution(ctx);
    touch(kept, 0);  /* touches outside */
    HPy_ReenterPythonExecution(ctx, state);
    return HPy_Dup(ctx, ctx->h_None);
}

/* Breaks the C library's heap so that the next allocation ends the process. */
HPyDef_METH(damage_heap, "damage_heap", HPyFunc_NOARGS)
static HPy damage_heap_impl(HPyContext *ctx, HPy self)
{
    static char *blocks[4000];
    int i, size;
    for (i = 0; i < 4000; i++) {
        size = 16 + i % 100 * 16;
        blocks[i] = malloc(size);
    }
    for (i = 0; i < 4000; i++) {
        size = 16 + i % 100 * 16;
        memset(blocks[i] - 16, 0x41, size + 32);
        free(NULL);
    }
    return HPy_Dup(ctx, ctx->h_None);
}

/* damage_and_touch(obj): the same, and then the access, with nothing in between. */
HPyDef_METH(damage_and_touch, "damage_and_touch", HPyFunc_NOARGS)
static HPy damage_and_touch_impl(HPyContext *ctx, HPy self)
{
    static char *blocks[4000];
    int i;
    char *top;
    for (i = 0; i < 4000; i++)
        blocks[i] = malloc(16 + i % 100 * 16);
    for (i = 0; i < 4000; i += 2)
        free(blocks[i]);
    for (i = 0; i < 4000; i++)
        memset(blocks[i] - 16, 0x41, 16 + i % 100 * 16);
    top = sbrk(0);
    memset(top - 4096, 0x41, 4096);
    touch(kept, 0);  /* touches damaged */
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(foreign, "foreign", HPyFunc_NOARGS)
static HPy foreign_impl(HPyContext *ctx, HPy self)
{
    char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sink = page[8];  /* foreign fault */
    return HPy_Dup(ctx, ctx->h_None);
}

/* A handler that the extension itself installs. */
static void on_segv(int sig)
{
    static const char text[] = "the extension's own handler\n";
    ssize_t n = write(2, text, sizeof(text) - 1);
    (void)n;
    signal(sig, SIG_DFL);
}

HPyDef_METH(handle, "handle", HPyFunc_NOARGS)
static HPy handle_impl(HPyContext *ctx, HPy self)
{
    signal(SIGSEGV, on_segv);
    return HPy_Dup(ctx, ctx->h_None);
}

/* in_handler(obj, after): a signal handler reads it while it is open, or after that. */
static void on_user(int sig)
{
    touch(kept, 0);  /* touches in a handler */
}

HPyDef_METH(in_handler, "in_handler", HPyFunc_VARARGS)
static HPy in_handler_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    long i, after = HPyLong_AsLong(ctx, args[1]);
    signal(SIGUSR1, on_user);
    for (i = 0; i < 50; i++) {
        HPy h = HPy_Dup(ctx, args[0]);
        kept = text_of(ctx, h, 0);
        raise(SIGUSR1);
        touch(kept, 0);
        HPy_Close(ctx, h);
    }
    if (after)
        raise(SIGUSR1);
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(raise_segv, "raise_segv", HPyFunc_NOARGS)
static HPy raise_segv_impl(HPyContext *ctx, HPy self)
{
    raise(SIGSEGV);
    return HPy_Dup(ctx, ctx->h_None);
}

/* right(obj, n): n correct uses. */
HPyDef_METH(right, "right", HPyFunc_VARARGS)
static HPy right_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    long i, n = HPyLong_AsLong(ctx, args[1]), sum = 0;
    for (i = 0; i < n; i++) {
        HPy h = HPy_Dup(ctx, args[0]);
        HPy_ssize_t size;
        const char *text = HPyUnicode_AsUTF8AndSize(ctx, h, &size);
        sum += text[0] + text[size];
        HPy_Close(ctx, h);
    }
    return HPyLong_FromLong(ctx, sum);
}

/* hold(obj...): leaves duplicates open, with a pointer each; check(n) compares them. */
static HPy held[2000];
static const char *held_text[2000];
static long held_count;

HPyDef_METH(hold, "hold", HPyFunc_O)
static HPy hold_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy_ssize_t size;
    held[held_count] = HPy_Dup(ctx, arg);
    held_text[held_count] = HPyUnicode_AsUTF8AndSize(ctx, held[held_count], &size);
    held_count++;
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(held_texts, "held_texts", HPyFunc_NOARGS)
static HPy held_texts_impl(HPyContext *ctx, HPy self)
{
    long i;
    HPyListBuilder list = HPyListBuilder_New(ctx, held_count);
    for (i = 0; i < held_count; i++) {
        HPy h = HPyUnicode_FromString(ctx, held_text[i]);
        HPyListBuilder_Set(ctx, list, i, h);
        HPy_Close(ctx, h);
    }
    return HPyListBuilder_Build(ctx, list);
}

HPyDef_METH(release, "release", HPyFunc_NOARGS)
static HPy release_impl(HPyContext *ctx, HPy self)
{
    long i;
    for (i = 0; i < held_count; i++)
        HPy_Close(ctx, held[i]);
    kept = held_count > 0 ? held_text[held_count - 1] : kept;
    held_count = 0;
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(write_held, "write_held", HPyFunc_NOARGS)
static HPy write_held_impl(HPyContext *ctx, HPy self)
{
    touch(held_text[0], 1);  /* touches held */
    return HPy_Dup(ctx, ctx->h_None);
}
"""
