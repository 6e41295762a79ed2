/* A PKCS#11 module for tests: it hands every call to the module named by STUB_MODULE, except where the folder STUB_DIR has a file
 * with the function's name (C_Sign, ...). The file says what that call does instead:
 *   hang        wait for as long as the file is there, then go on      hang 1      let 1 call pass before that
 *   0x32        return this code, always         0x32 1      return this code once (the file is removed), or N times
 *   0x101 2 1   let 1 call pass, then return this code twice
 * A file `calls` in the folder gets one line for each call of the functions below.
 *   cc -shared -fPIC -O1 -o stub.so stub.c -ldl -lpthread */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long U;
enum { FUNCTIONS = 68, GENERAL_ERROR = 5 };
struct list { unsigned char version[2]; void *function[FUNCTIONS]; };
static struct list ours, *theirs;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* 1 and the code in *rv where the call is to be answered here. */
static int fault(const char *name, U *rv) {
    const char *dir = getenv("STUB_DIR");
    char path[4096], text[64] = "";
    int answer = 0;
    if (!dir) return 0;
    pthread_mutex_lock(&lock);
    snprintf(path, sizeof path, "%s/calls", dir);
    FILE *f = access(path, F_OK) ? NULL : fopen(path, "a");
    if (f) { fprintf(f, "%s\n", name); fclose(f); }
    snprintf(path, sizeof path, "%s/%s", dir, name);
    if ((f = fopen(path, "r"))) {
        size_t n = fread(text, 1, sizeof text - 1, f);
        text[n] = 0;
        fclose(f);
        long times = -1, pass = 0;
        if (sscanf(text, "hang %ld", &pass) == 1 && pass > 0) {
            if ((f = fopen(path, "w"))) { fprintf(f, "hang %ld", pass - 1); fclose(f); }
            text[0] = 0;
        } else if (strncmp(text, "hang", 4) && sscanf(text, "%li %ld %ld", (long *)rv, &times, &pass) >= 1) {
            if (pass > 0) pass--; else { answer = 1; times--; }
            if (times == 0) unlink(path);
            else if (times > 0 && (f = fopen(path, "w"))) { fprintf(f, "0x%lx %ld %ld", *rv, times, pass); fclose(f); }
        }
    }
    pthread_mutex_unlock(&lock);
    if (!strncmp(text, "hang", 4)) while (!access(path, F_OK)) usleep(20000);
    return answer;
}

#define WRAP(index, name, params, args) \
    static U name params { U rv; return fault(#name, &rv) ? rv : ((U(*) params)theirs->function[index]) args; }
#define ONE(i, n) WRAP(i, n, (U a), (a))
#define TWO(i, n) WRAP(i, n, (U a, U b), (a, b))
#define THREE(i, n) WRAP(i, n, (U a, U b, U c), (a, b, c))
#define FOUR(i, n) WRAP(i, n, (U a, U b, U c, U d), (a, b, c, d))
#define FIVE(i, n) WRAP(i, n, (U a, U b, U c, U d, U e), (a, b, c, d, e))
#define EIGHT(i, n) WRAP(i, n, (U a, U b, U c, U d, U e, U f, U g, U h), (a, b, c, d, e, f, g, h))
/* The place of each function in the list is PKCS#11's: C_Initialize is 0. */
#define EACH \
    DO(ONE, 0, C_Initialize) DO(THREE, 4, C_GetSlotList) DO(TWO, 6, C_GetTokenInfo) DO(FIVE, 12, C_OpenSession) \
    DO(ONE, 13, C_CloseSession) DO(FOUR, 18, C_Login) DO(FOUR, 24, C_GetAttributeValue) DO(THREE, 26, C_FindObjectsInit) \
    DO(THREE, 42, C_SignInit) DO(FIVE, 43, C_Sign) DO(THREE, 48, C_VerifyInit) DO(FIVE, 49, C_Verify) DO(EIGHT, 59, C_GenerateKeyPair)
#define DO(arity, index, name) arity(index, name)
EACH
#undef DO

U C_GetFunctionList(struct list **out) {
    static void *module;
    const char *path = getenv("STUB_MODULE");
    U rv;
    if (fault("C_GetFunctionList", &rv)) return rv;
    if (!module) {
        module = dlopen(path ? path : "/usr/lib/softhsm/libsofthsm2.so", RTLD_NOW | RTLD_LOCAL);
        U (*get)(struct list **) = module ? (U(*)(struct list **))dlsym(module, "C_GetFunctionList") : NULL;
        if (!get || get(&theirs)) return GENERAL_ERROR;
        ours = *theirs;
        ours.function[3] = (void *)C_GetFunctionList;
#define DO(arity, index, name) ours.function[index] = (void *)name;
        EACH
    }
    *out = &ours;
    return 0;
}
