// The same for sparse matrices by rows (CSR), in any order of the unknowns, as rows.py has them.

namespace {

template <typename T> struct Rows {
    int64_t n;
    const int32_t *begin, *column, *place;  // where rows begin, the column of each entry, which entry is the diagonal
    const T* value;
    const int32_t *order, *rank;  // the unknowns as sweeps visit them, and the place of each; null for as they come

    int64_t size() const { return n; }

    int64_t at(int64_t step) const { return order ? order[step] : step; }

    void apply(const T* x, T* y, const T* b) const {
        for (int64_t i = 0; i < n; ++i) {
            T sum = 0;
            for (int32_t k = begin[i]; k < begin[i + 1]; ++k) sum += value[k] * x[column[k]];
            y[i] = b ? b[i] - sum : sum;
        }
    }

    // sum - what the entries [first, last) add. The unknown that a sweep has visited last is waited for; it is near the
    // diagonal, so the sum starts from the other end, and has two parts, that the waiting chain be short.
    T less(Direction way, T sum, int32_t first, int32_t last, const T* x) const {
        const int32_t step = way == FORWARD ? -1 : 1;
        int32_t k = way == FORWARD ? last - 1 : first;
        T other = 0;
        for (int32_t pairs = (last - first) / 2; pairs > 0; --pairs, k += 2 * step) {
            sum -= value[k] * x[column[k]];
            other -= value[k + step] * x[column[k + step]];
        }
        if ((last - first) % 2) sum -= value[k] * x[column[k]];
        return sum + other;
    }

    template <Direction way> void sweep_to(const T* b, T* x, T omega) const {
        for (int64_t step = 0; step < n; ++step) {
            const int64_t i = at(way == FORWARD ? step : n - 1 - step);
            x[i] += omega / value[place[i]] * less(way, b[i], begin[i], begin[i + 1], x);
        }
    }

    void sweep(const T* b, T* x, T omega, Direction way) const {
        way == FORWARD ? sweep_to<FORWARD>(b, x, omega) : sweep_to<BACKWARD>(b, x, omega);
    }

    // sum - what the unknowns add that a sweep this way visits earlier.
    T without(Direction way, T sum, int64_t i, const T* x) const {
        if (!rank && way == FORWARD) return less(way, sum, begin[i], place[i], x);
        if (!rank) return less(way, sum, place[i] + 1, begin[i + 1], x);
        for (int32_t k = begin[i]; k < begin[i + 1]; ++k) {
            const int32_t j = column[k];
            if (way == FORWARD ? rank[j] < rank[i] : rank[j] > rank[i]) sum -= value[k] * x[j];
        }
        return sum;
    }

    void precondition(const T* r, T* z, T omega) const {
        for (int64_t step = 0; step < n; ++step) {
            const int64_t i = at(step);
            z[i] = omega / value[place[i]] * without(FORWARD, r[i], i, z);
        }
        for (int64_t step = n - 1; step >= 0; --step) {
            const int64_t i = at(step);
            z[i] = (2 - omega) * z[i] + omega / value[place[i]] * without(BACKWARD, T(0), i, z);
        }
    }
};

}  // namespace
