// A x, Gauss-Seidel sweeps and triangular solves for stencils on grids of one to three axes, as stencil.py has them.
//
// A row is a line of points along the last axis. Within it each unknown of a sweep depends on the one before,
// x[j] = g[j] + a[j] x[j-1], a chain that would leave the vector units idle. Recursive doubling (Stone, "An efficient
// parallel algorithm for the solution of a tridiagonal linear system of equations", JACM 20, 1973) turns it into
// x[j] = g'[j] + a'[j] x[j-LANES].

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace {

template <typename T> struct Lanes;
template <> struct Lanes<double> { static constexpr int count = 8; };
template <> struct Lanes<float> { static constexpr int count = 16; };

enum Direction { FORWARD = 0, BACKWARD = 1 };

// Which couplings a sum runs over: all, or those to rows before or after its own.
enum Part { ALL, BEFORE, AFTER };

// What all samples share: where the neighbours of a row are.
struct Layout {
    int64_t rows, width, count;      // rows of `width` points, couplings of a point
    bool wraps;                      // the last axis is periodic
    std::vector<int64_t> shift;      // of each coupling along the row: -1, 0 or 1
    std::vector<int64_t> neighbour;  // [row * count + coupling] the row it reaches, -1 for none
    int64_t left = -1, right = -1;   // couplings to the points before and after in the same row

    // shape and periodic have three entries, the last axis last; offsets (count, 3).
    Layout(const int64_t* shape, const int64_t* periodic, int64_t couplings, const int64_t* offsets)
        : rows(shape[0] * shape[1]), width(shape[2]), count(couplings), wraps(periodic[2] != 0) {
        shift.resize(count);
        neighbour.assign(rows * count, -1);
        for (int64_t k = 0; k < count; ++k) {
            const int64_t* o = offsets + 3 * k;
            shift[k] = o[2];
            if (o[0] == 0 && o[1] == 0) (o[2] < 0 ? left : right) = k;
            for (int64_t i = 0; i < shape[0]; ++i)
                for (int64_t j = 0; j < shape[1]; ++j) {
                    int64_t p = i + o[0], q = j + o[1];
                    if (periodic[0]) p = (p + shape[0]) % shape[0];
                    if (periodic[1]) q = (q + shape[1]) % shape[1];
                    if (p >= 0 && p < shape[0] && q >= 0 && q < shape[1])
                        neighbour[(i * shape[1] + j) * count + k] = p * shape[1] + q;
                }
        }
    }
};

template <typename T> struct Stencil {
    const Layout& at;
    const T *coefficient, *diagonal;
    bool varies, uneven;  // from point to point: the couplings, the diagonal
    std::vector<T> g, a;  // scratch of a row, with room before and after for points that are not there

    static constexpr int PAD = Lanes<T>::count;

    Stencil(const Layout& layout, const T* coefficients, bool couplings_vary, const T* diagonals, bool diagonal_varies)
        : at(layout), coefficient(coefficients), diagonal(diagonals), varies(couplings_vary), uneven(diagonal_varies),
          g(layout.width + 2 * PAD), a(layout.width + 2 * PAD) {}

    int64_t size() const { return at.rows * at.width; }

    const T* coupling(int64_t k, int64_t row) const {
        return varies ? coefficient + (k * at.rows + row) * at.width : coefficient + k;
    }

    T d(int64_t row, int64_t j) const { return uneven ? diagonal[row * at.width + j] : diagonal[0]; }

    // t[j] -= c[j] y[j + s] for the couplings of a part, without those inside the row.
    void subtract(T* t, int64_t row, const T* x, Part part) const {
        for (int64_t k = 0; k < at.count; ++k) {
            const int64_t other = at.neighbour[row * at.count + k];
            if (other < 0 || other == row || (part == BEFORE && other > row) || (part == AFTER && other < row)) continue;
            subtract_line(t, coupling(k, row), x + other * at.width, at.shift[k], true);
        }
    }

    void subtract_line(T* __restrict__ t, const T* __restrict__ c, const T* __restrict__ y, int64_t s, bool wrap) const {
        const int64_t m = at.width, first = s < 0 ? 1 : 0, last = s > 0 ? m - 1 : m;
        if (varies)
            for (int64_t j = first; j < last; ++j) t[j] -= c[j] * y[j + s];
        else
            for (int64_t j = first; j < last; ++j) t[j] -= c[0] * y[j + s];
        if (!wrap || !at.wraps) return;
        if (s < 0) t[0] -= value(c, 0) * y[m - 1];
        if (s > 0) t[m - 1] -= value(c, m - 1) * y[0];
    }

    T value(const T* c, int64_t j) const { return varies ? c[j] : c[0]; }

    // y = A x, or y = b - A x.
    void apply(const T* x, T* y, const T* b) const {
        for (int64_t row = 0; row < at.rows; ++row) {
            T* t = y + row * at.width;
            const T* own = x + row * at.width;
            for (int64_t j = 0; j < at.width; ++j) t[j] = (b ? b[row * at.width + j] : T(0)) - d(row, j) * own[j];
            subtract(t, row, x, ALL);
            for (int64_t k : {at.left, at.right})
                if (k >= 0) subtract_line(t, coupling(k, row), own, at.shift[k], true);
            if (!b)
                for (int64_t j = 0; j < at.width; ++j) t[j] = -t[j];
        }
    }

    // One sweep of successive over-relaxation: x <- x + (D / omega + L)^-1 (b - A x), or with the transpose of L.
    void sweep(const T* b, T* x, T omega, Direction way) {
        for (int64_t step = 0; step < at.rows; ++step) {
            const int64_t row = way == FORWARD ? step : at.rows - 1 - step;
            T *t = g.data() + PAD, *own = x + row * at.width;
            for (int64_t j = 0; j < at.width; ++j) t[j] = b[row * at.width + j];
            subtract(t, row, x, ALL);
            relax(row, own, omega, way, true);
        }
    }

    // y <- (D / omega + L)^-1 y.
    void lower(T* y, T omega) {
        for (int64_t row = 0; row < at.rows; ++row) {
            T *t = g.data() + PAD, *own = y + row * at.width;
            for (int64_t j = 0; j < at.width; ++j) t[j] = own[j];
            subtract(t, row, y, BEFORE);
            relax(row, own, omega, FORWARD, false);
        }
    }

    // y <- (D / omega + U)^-1 D y scale.
    void upper(T* y, T omega, T scale) {
        for (int64_t row = at.rows - 1; row >= 0; --row) {
            T *t = g.data() + PAD, *own = y + row * at.width;
            for (int64_t j = 0; j < at.width; ++j) t[j] = scale * d(row, j) * own[j];
            subtract(t, row, y, AFTER);
            relax(row, own, omega, BACKWARD, false);
        }
    }

    // z = M^-1 r with M = omega / (2 - omega) (D / omega + L) D^-1 (D / omega + U).
    void precondition(const T* r, T* z, T omega) {
        std::copy(r, r + size(), z);
        lower(z, omega);
        upper(z, omega, (2 - omega) / omega);
    }

    // Solve within a row, g holding what other rows leave: with `old`, the values in x count as the ones before.
    void relax(int64_t row, T* __restrict__ x, T omega, Direction way, bool old) {
        const int64_t m = at.width;
        T *t = g.data() + PAD, *chain = a.data() + PAD;
        const int64_t before = way == FORWARD ? at.left : at.right, after = way == FORWARD ? at.right : at.left;
        const int64_t start = way == FORWARD ? 0 : m - 1, end = m - 1 - start;
        const T* known = after >= 0 ? coupling(after, row) : nullptr;
        const T* open = before >= 0 ? coupling(before, row) : nullptr;
        if (old) {
            if (known) subtract_line(t, known, x, way == FORWARD ? 1 : -1, false);
            if (open && at.wraps) t[start] -= value(open, start) * x[end];
        }
        scale(row, x, omega, open, old);
        chain[start] = 0;
        if (way == FORWARD)
            run<1>(t, chain, x, m);
        else
            run<-1>(t, chain, x, m);
        // Around a periodic row the last point sees the first one as it is now.
        if (known && at.wraps && m > 1) x[end] -= omega / d(row, end) * value(known, end) * x[start];
    }

    // From what is left of b to the recurrence x[j] = g[j] + a[j] x[j before].
    void scale(int64_t row, const T* __restrict__ x, T omega, const T* __restrict__ open, bool old) {
        const int64_t m = at.width;
        T *__restrict__ t = g.data() + PAD, *__restrict__ chain = a.data() + PAD;
        const T keep = old ? 1 - omega : T(0);
        if (uneven) {
            const T* __restrict__ own = diagonal + row * m;
            for (int64_t j = 0; j < m; ++j) {
                const T weight = omega / own[j];
                t[j] *= weight;
                chain[j] = open ? -weight * (varies ? open[j] : open[0]) : T(0);
            }
        } else {
            const T weight = omega / diagonal[0];
            for (int64_t j = 0; j < m; ++j) {
                t[j] *= weight;
                chain[j] = open ? -weight * (varies ? open[j] : open[0]) : T(0);
            }
        }
        if (old)
            for (int64_t j = 0; j < m; ++j) t[j] += keep * x[j];
    }

    // x[j] = t[j] + chain[j] x[j - way], by recursive doubling.
    template <int way> static void run(T* t, T* chain, T* __restrict__ x, int64_t m) {
        constexpr int lanes = Lanes<T>::count;
        if (m < 2 * lanes) {
            T last = 0;
            for (int64_t l = 0; l < m; ++l) {
                const int64_t j = way > 0 ? l : m - 1 - l;
                x[j] = last = t[j] + chain[j] * last;
            }
            return;
        }
        for (int l = 1; l <= lanes; ++l) {
            t[way > 0 ? -l : m - 1 + l] = 0;
            chain[way > 0 ? -l : m - 1 + l] = 0;
        }
        for (int s = 1; s < lanes; s *= 2) twice<way>(t, chain, m, s);
        if (way > 0) {
            int64_t j = 0;
            for (; j < lanes; ++j) x[j] = t[j];
            for (; j + lanes <= m; j += lanes)
                for (int l = 0; l < lanes; ++l) x[j + l] = t[j + l] + chain[j + l] * x[j + l - lanes];
            for (; j < m; ++j) x[j] = t[j] + chain[j] * x[j - lanes];
        } else {
            int64_t j = m - lanes;
            for (int l = 0; l < lanes; ++l) x[j + l] = t[j + l];
            for (j -= lanes; j >= 0; j -= lanes)
                for (int l = 0; l < lanes; ++l) x[j + l] = t[j + l] + chain[j + l] * x[j + l + lanes];
            for (j += lanes - 1; j >= 0; --j) x[j] = t[j] + chain[j] * x[j + lanes];
        }
    }

    // The recurrence over s points becomes one over 2 s; blocks are taken from the end that no other reads.
    template <int way> static void twice(T* t, T* chain, int64_t m, int s) {
        constexpr int lanes = Lanes<T>::count;
        T sum[lanes], product[lanes];
        if (way > 0) {
            int64_t j = m;
            while (j >= lanes) {
                j -= lanes;
                for (int l = 0; l < lanes; ++l) sum[l] = t[j + l] + chain[j + l] * t[j + l - s];
                for (int l = 0; l < lanes; ++l) product[l] = chain[j + l] * chain[j + l - s];
                for (int l = 0; l < lanes; ++l) t[j + l] = sum[l], chain[j + l] = product[l];
            }
            for (--j; j >= 0; --j) t[j] += chain[j] * t[j - s], chain[j] *= chain[j - s];
        } else {
            int64_t j = 0;
            for (; j + lanes <= m; j += lanes) {
                for (int l = 0; l < lanes; ++l) sum[l] = t[j + l] + chain[j + l] * t[j + l + s];
                for (int l = 0; l < lanes; ++l) product[l] = chain[j + l] * chain[j + l + s];
                for (int l = 0; l < lanes; ++l) t[j + l] = sum[l], chain[j + l] = product[l];
            }
            for (; j < m; ++j) t[j] += chain[j] * t[j + s], chain[j] *= chain[j + s];
        }
    }
};

}  // namespace
