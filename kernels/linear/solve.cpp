// Whole solves of a batch of linear systems, a system to a thread: what loops.py does.

namespace {

enum Status : int64_t { CONVERGED = 0, TOO_MANY = 1, STAGNATED = 2, INDEFINITE = 3, NOT_FINITE = 4 };

// Iterations without a smaller residual after which a solve has stagnated; conjugate gradients, whose residual may only
// fall at the last of as many iterations as there are unknowns, are given at least those.
constexpr int64_t PATIENCE = 500;

// Restarts of conjugate gradients, as its residual drifts from the true one, before that counts as stagnation.
constexpr int RESTARTS = 3;

// What each sample is asked for and gives; arrays (batch,).
struct Task {
    const double *omega, *rtol, *atol;
    bool initial;  // rtol is of the first residual, and not of b
    int64_t limit;
    int64_t *iterations, *status;
    double* residual;
};

template <typename T> double dot(const T* x, const T* y, int64_t n) {
    constexpr int parts = 8;
    double sum[parts] = {};
    int64_t i = 0;
    for (; i + parts <= n; i += parts)
        for (int l = 0; l < parts; ++l) sum[l] += double(x[i + l]) * double(y[i + l]);
    for (; i < n; ++i) sum[0] += double(x[i]) * double(y[i]);
    return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

template <typename T> double norm(const T* x, int64_t n) { return std::sqrt(dot(x, x, n)); }

// Counts iterations, and says when to stop.
struct Watch {
    const Task& task;
    int64_t sample, patience, iterations = 0, last = 0;
    int restarts = 0;
    double best, goal;

    Watch(const Task& t, int64_t s, double residual, double right, int64_t patience = PATIENCE)
        : task(t), sample(s), patience(patience), best(residual) {
        goal = std::max(task.rtol[s] * (task.initial ? residual : right), task.atol[s]);
    }

    // Whether `residual` ends the solve; the status is written then.
    bool ends(double residual) {
        if (!std::isfinite(residual)) return end(NOT_FINITE, residual);
        if (residual <= goal) return end(CONVERGED, residual);
        if (residual < best) best = residual, last = iterations;
        if (iterations >= task.limit) return end(TOO_MANY, residual);
        if (restarts > RESTARTS || iterations - last >= patience) return end(STAGNATED, residual);
        return false;
    }

    bool end(Status status, double residual) {
        task.iterations[sample] = iterations;
        task.status[sample] = status;
        task.residual[sample] = residual;
        return true;
    }
};

// Sweeps until the true residual is small, forward or forward and backward in turns (one iteration).
template <typename T, class Matrix>
void relax(Matrix& matrix, const T* b, T* x, const Task& task, int64_t sample, bool symmetric) {
    const int64_t n = matrix.size();
    std::vector<T> r(n);
    matrix.apply(x, r.data(), b);
    double residual = norm(r.data(), n);
    Watch watch(task, sample, residual, norm(b, n));
    while (!watch.ends(residual)) {
        matrix.sweep(b, x, T(task.omega[sample]), FORWARD);
        if (symmetric) matrix.sweep(b, x, T(task.omega[sample]), BACKWARD);
        ++watch.iterations;
        matrix.apply(x, r.data(), b);
        residual = norm(r.data(), n);
    }
}

// Conjugate gradients, preconditioned by SSOR where omega > 0.
template <typename T, class Matrix>
void conjugate_gradient(Matrix& matrix, const T* b, T* x, const Task& task, int64_t sample) {
    const int64_t n = matrix.size();
    const T omega = T(task.omega[sample]);
    std::vector<T> r(n), z(n), p(n), q(n);
    matrix.apply(x, r.data(), b);
    double residual = norm(r.data(), n), rho = 0;
    Watch watch(task, sample, residual, norm(b, n), std::max(PATIENCE, n));
    bool fresh = true;
    while (!watch.ends(residual)) {
        const T* s = r.data();
        if (omega > 0) {
            matrix.precondition(r.data(), z.data(), omega);
            s = z.data();
        }
        const double before = rho;
        rho = dot(r.data(), s, n);
        if (!(rho > 0)) return void(watch.end(std::isfinite(rho) ? INDEFINITE : NOT_FINITE, residual));
        const T beta = fresh ? T(0) : T(rho / before);
        for (int64_t i = 0; i < n; ++i) p[i] = fresh ? s[i] : s[i] + beta * p[i];
        fresh = false;
        matrix.apply(p.data(), q.data(), nullptr);
        const double curvature = dot(p.data(), q.data(), n);
        if (!(curvature > 0)) return void(watch.end(std::isfinite(curvature) ? INDEFINITE : NOT_FINITE, residual));
        const T alpha = T(rho / curvature);
        for (int64_t i = 0; i < n; ++i) {
            x[i] += alpha * p[i];
            r[i] -= alpha * q[i];
        }
        ++watch.iterations;
        residual = norm(r.data(), n);
        if (residual <= watch.goal) {  // as the recursion has it; now the true one
            matrix.apply(x, r.data(), b);
            residual = norm(r.data(), n);
            fresh = true;
            if (residual > watch.goal) ++watch.restarts;
        }
    }
}

enum Method : int64_t { SWEEPS = 0, SYMMETRIC_SWEEPS = 1, GRADIENTS = 2 };

template <typename T, class Matrix>
void solve_one(Matrix& matrix, const T* b, T* x, const Task& task, int64_t sample, int64_t method) {
    if (method == GRADIENTS)
        conjugate_gradient(matrix, b, x, task, sample);
    else
        relax(matrix, b, x, task, sample, method == SYMMETRIC_SWEEPS);
}

// What a call does with one sample's matrix: 0 apply, 1 residual, 2 and 3 sweep forward and backward, 4 precondition.
template <typename T, class Matrix>
void act_one(Matrix& matrix, int64_t what, const T* b, T* x, T omega, int64_t times) {
    const int64_t n = matrix.size();
    if (what == 0) return matrix.apply(b, x, nullptr);
    if (what == 4) return matrix.precondition(b, x, omega);
    std::vector<T> r;
    if (what == 1) {
        r.resize(n);
        matrix.apply(x, r.data(), b);
        std::copy(r.begin(), r.end(), x);
        return;
    }
    for (int64_t k = 0; k < times; ++k) matrix.sweep(b, x, omega, what == 2 ? FORWARD : BACKWARD);
}

// The stencil of each sample: integers are shape[3], periodic[3], couplings, whether couplings and diagonal vary in
// space, and their strides from sample to sample; offsets follow.
template <typename T> struct Stencils {
    Layout layout;
    const T *coefficient, *diagonal;
    bool varies, uneven;
    int64_t along, down;

    Stencils(const int64_t* i, const T* c, const T* d)
        : layout(i, i + 3, i[6], i + 11), coefficient(c), diagonal(d), varies(i[7] != 0), uneven(i[8] != 0),
          along(i[9]), down(i[10]) {}

    Stencil<T> operator[](int64_t sample) const {
        return Stencil<T>(layout, coefficient + along * sample, varies, diagonal + down * sample, uneven);
    }

    int64_t size() const { return layout.rows * layout.width; }
};

// The rows of each sample; integers are n, the stride of values, and whether there is an order. The pattern holds where
// rows begin, the columns, which entries are the diagonal, and the order and its inverse.
template <typename T> struct Matrices {
    Rows<T> first;
    int64_t along;

    Matrices(const int64_t* i, const T* value, const int32_t* pattern)
        : first{i[0], pattern, pattern + i[0] + 1, nullptr, value, nullptr, nullptr}, along(i[1]) {
        first.place = first.column + pattern[i[0]];
        if (i[2]) first.order = first.place + i[0], first.rank = first.order + i[0];
    }

    Rows<T> operator[](int64_t sample) const {
        Rows<T> own = first;
        own.value += along * sample;
        return own;
    }

    int64_t size() const { return first.n; }
};

template <typename T, class Batch>
void solve_all(const Batch& batch, int64_t method, int64_t samples, const T* b, T* x, const Task& task, int threads) {
    const int64_t n = batch.size();
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1 && samples > 1)
    for (int64_t k = 0; k < samples; ++k) {
        auto matrix = batch[k];
        solve_one(matrix, b + k * n, x + k * n, task, k, method);
    }
}

template <typename T, class Batch>
void act_all(const Batch& batch, int64_t what, int64_t samples, const T* b, T* x, const double* omega, int64_t times,
             int threads) {
    const int64_t n = batch.size();
#pragma omp parallel for num_threads(threads) if (threads > 1 && samples > 1)
    for (int64_t k = 0; k < samples; ++k) {
        auto matrix = batch[k];
        act_one(matrix, what, b + k * n, x + k * n, T(omega[k]), times);
    }
}

}  // namespace

#define FACES(T)                                                                                                       \
    void solve_stencil_##T(const int64_t* form, const T* c, const T* d, int64_t method, int64_t samples,               \
                           const T* b, T* x, const double* omega, const double* goals, int64_t initial,                \
                           int64_t limit, int64_t* iterations, int64_t* status, double* residual, int threads) {       \
        const Task task{omega, goals, goals + samples, initial != 0, limit, iterations, status, residual};             \
        solve_all(Stencils<T>(form, c, d), method, samples, b, x, task, threads);                                      \
    }                                                                                                                  \
    void act_stencil_##T(const int64_t* form, const T* c, const T* d, int64_t what, int64_t samples, const T* b,       \
                         T* x, const double* omega, int64_t times, int threads) {                                      \
        act_all(Stencils<T>(form, c, d), what, samples, b, x, omega, times, threads);                                  \
    }                                                                                                                  \
    void solve_rows_##T(const int64_t* form, const T* c, const int32_t* pattern, int64_t method, int64_t samples,      \
                        const T* b, T* x, const double* omega, const double* goals, int64_t initial,                   \
                        int64_t limit, int64_t* iterations, int64_t* status, double* residual, int threads) {          \
        const Task task{omega, goals, goals + samples, initial != 0, limit, iterations, status, residual};             \
        solve_all(Matrices<T>(form, c, pattern), method, samples, b, x, task, threads);                                \
    }                                                                                                                  \
    void act_rows_##T(const int64_t* form, const T* c, const int32_t* pattern, int64_t what, int64_t samples,          \
                      const T* b, T* x, const double* omega, int64_t times, int threads) {                             \
        act_all(Matrices<T>(form, c, pattern), what, samples, b, x, omega, times, threads);                            \
    }

extern "C" {
FACES(float)
FACES(double)
}
