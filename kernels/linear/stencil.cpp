// A x, Gauss-Seidel sweeps and triangular solves for stencils on grids of one to three axes, as stencil.py has them.
//
// A row is a line of points along the last axis. Within it each unknown of a sweep depends on the one before,
// x[j] = g[j] + a[j] x[j-1], a chain that would leave the vector units idle. Recursive doubling (Stone, "An efficient
// parallel algorithm for the solution of a tridiagonal linear system of equations", JACM 20, 1973) turns it, for a
// block of points that fills a vector, into what each has of the last point of the block before.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

namespace {

// What the machine computes at once.
#if defined(__AVX512F__)
constexpr int BYTES = 64;
#elif defined(__AVX__)
constexpr int BYTES = 32;
#else
constexpr int BYTES = 16;
#endif

template <typename T> struct Lanes {
    static constexpr int count = BYTES / sizeof(T);
    using Each = std::make_integer_sequence<int, count>;
    typedef T Values __attribute__((vector_size(BYTES)));
};

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
    std::vector<T> g;     // scratch of a row

    Stencil(const Layout& layout, const T* coefficients, bool couplings_vary, const T* diagonals, bool diagonal_varies)
        : at(layout), coefficient(coefficients), diagonal(diagonals), varies(couplings_vary), uneven(diagonal_varies),
          g(layout.width) {}

    int64_t size() const { return at.rows * at.width; }

    const T* coupling(int64_t k, int64_t row) const {
        return varies ? coefficient + (k * at.rows + row) * at.width : coefficient + k;
    }

    T d(int64_t row, int64_t j) const { return uneven ? diagonal[row * at.width + j] : diagonal[0]; }

    // t[j] -= c[j] y[j + s] for the couplings of a part, without those inside the row.
    void subtract(T* t, int64_t row, const T* x, Part part) const {
        for (int64_t k = 0; k < at.count; ++k) {
            const int64_t other = at.neighbour[row * at.count + k];
            if (other < 0 || other == row) continue;
            if ((part == BEFORE && other > row) || (part == AFTER && other < row)) continue;
            subtract_line(t, coupling(k, row), x + other * at.width, at.shift[k], true);
        }
    }

    void subtract_line(T* __restrict__ t, const T* __restrict__ c, const T* __restrict__ y, int64_t s,
                       bool wrap) const {
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
            T *t = g.data(), *own = x + row * at.width;
            for (int64_t j = 0; j < at.width; ++j) t[j] = b[row * at.width + j];
            subtract(t, row, x, ALL);
            relax(row, own, omega, way, true);
        }
    }

    // y <- (D / omega + L)^-1 of what right(row, t) writes into t for each row; backward with U instead of L.
    template <Direction way, class Right> void half(T* y, T omega, Right right) {
        for (int64_t step = 0; step < at.rows; ++step) {
            const int64_t row = way == FORWARD ? step : at.rows - 1 - step;
            T* t = g.data();
            right(row, t);
            subtract(t, row, y, way == FORWARD ? BEFORE : AFTER);
            relax(row, y + row * at.width, omega, way, false);
        }
    }

    // y = (D / omega + L)^-1 r.
    void lower(const T* r, T* y, T omega) {
        const int64_t m = at.width;
        half<FORWARD>(y, omega, [=](int64_t row, T* t) { std::copy(r + row * m, r + (row + 1) * m, t); });
    }

    // z = M^-1 r with M = omega / (2 - omega) (D / omega + L) D^-1 (D / omega + U).
    void precondition(const T* r, T* z, T omega) {
        const int64_t m = at.width;
        lower(r, z, omega);
        half<BACKWARD>(z, omega, [=](int64_t row, T* t) {
            for (int64_t j = 0; j < m; ++j) t[j] = (2 - omega) / omega * d(row, j) * z[row * m + j];
        });
    }

    // Solve within a row, g holding what other rows leave: with `old`, the values in x count as the ones before.
    void relax(int64_t row, T* __restrict__ x, T omega, Direction way, bool old) {
        const int64_t m = at.width;
        T* t = g.data();
        const int64_t before = way == FORWARD ? at.left : at.right, after = way == FORWARD ? at.right : at.left;
        const int64_t start = way == FORWARD ? 0 : m - 1, end = m - 1 - start;
        const T* known = after >= 0 ? coupling(after, row) : nullptr;
        const T* open = before >= 0 ? coupling(before, row) : nullptr;
        if (old) {
            if (known) subtract_line(t, known, x, way == FORWARD ? 1 : -1, false);
            if (open && at.wraps) t[start] -= value(open, start) * x[end];
        }
        if (way == FORWARD)
            run<1>(row, x, omega, open, old ? 1 - omega : T(0));
        else
            run<-1>(row, x, omega, open, old ? 1 - omega : T(0));
        // Around a periodic row the last point sees the first one as it is now.
        if (known && at.wraps && m > 1) x[end] -= omega / d(row, end) * value(known, end) * x[start];
    }

    // The recurrence x[j] = sum[j] + product[j] x[j - way] along a row, a block of lanes at a time: within it by
    // recursive doubling, and then all of its points from the last one of the block before.
    template <int way> void run(int64_t row, T* __restrict__ x, T omega, const T* open, T keep) const {
        using Values = typename Lanes<T>::Values;
        constexpr int lanes = Lanes<T>::count;
        const int64_t m = at.width;
        Values last = {};
        int64_t done = 0;
        for (; done + lanes <= m; done += lanes) {
            const int64_t j = way > 0 ? done : m - done - lanes;
            auto [sum, product] = link<Values>(row, j, x, omega, open, keep);
            double_up<way>(sum, product);
            sum += product * last;
            std::memcpy(x + j, &sum, sizeof sum);
            last = spread<way>(sum, typename Lanes<T>::Each());
        }
        T one = last[0];
        for (; done < m; ++done) {
            const int64_t j = way > 0 ? done : m - 1 - done;
            auto [sum, product] = link<T>(row, j, x, omega, open, keep);
            x[j] = one = sum + product * one;
        }
    }

    // That recurrence at the points from j, with `keep` of what they had.
    template <class V>
    std::pair<V, V> link(int64_t row, int64_t j, const T* x, T omega, const T* open, T keep) const {
        const V zero = {}, weight = omega / (uneven ? load<V>(diagonal + row * at.width + j) : zero + diagonal[0]);
        V sum = weight * load<V>(g.data() + j), product = zero;
        if (keep != 0) sum += keep * load<V>(x + j);
        if (open) product = -weight * (varies ? load<V>(open + j) : zero + open[0]);
        return {sum, product};
    }

    template <class V> static V load(const T* from) {
        V values;
        std::memcpy(&values, from, sizeof values);
        return values;
    }

    // From what a point has of the one before it to what it has of the one before all lanes.
    template <int way, int s = 1, class Values> static void double_up(Values& sum, Values& product) {
        constexpr int lanes = Lanes<T>::count;
        const Values none = {}, one = none + T(1);
        sum += product * moved<way * s>(sum, none, typename Lanes<T>::Each());
        product *= moved<way * s>(product, one, typename Lanes<T>::Each());
        if constexpr (2 * s < lanes) double_up<way, 2 * s>(sum, product);
    }

    // Lane l is what lane l - s was, or what `other` has where there is none.
    template <int s, class Values, int... l>
    static Values moved(Values own, Values other, std::integer_sequence<int, l...>) {
        constexpr int lanes = sizeof...(l);
        return __builtin_shufflevector(own, other, (l - s >= 0 && l - s < lanes ? l - s : lanes + l)...);
    }

    // The last lane in all lanes.
    template <int way, class Values, int... l> static Values spread(Values own, std::integer_sequence<int, l...>) {
        return __builtin_shufflevector(own, own, (way > 0 ? int(sizeof...(l)) - 1 : 0 * l)...);
    }
};

}  // namespace
