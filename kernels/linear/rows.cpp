// The same for sparse matrices by rows (CSR), in any order of the unknowns, as rows.py has them.

namespace {

template <typename T> struct Rows {
    int64_t n;
    const int64_t *begin, *column;
    const T *value, *diagonal;
    const int64_t *order, *rank;  // the unknowns as sweeps visit them, and the place of each; null for as they come

    int64_t size() const { return n; }

    int64_t at(int64_t step) const { return order ? order[step] : step; }

    bool earlier(int64_t j, int64_t i) const { return rank ? rank[j] < rank[i] : j < i; }

    void apply(const T* x, T* y, const T* b) const {
        for (int64_t i = 0; i < n; ++i) {
            T sum = 0;
            for (int64_t k = begin[i]; k < begin[i + 1]; ++k) sum += value[k] * x[column[k]];
            y[i] = b ? b[i] - sum : sum;
        }
    }

    void sweep(const T* b, T* x, T omega, Direction way) {
        for (int64_t step = 0; step < n; ++step) {
            const int64_t i = at(way == FORWARD ? step : n - 1 - step);
            T sum = b[i];
            for (int64_t k = begin[i]; k < begin[i + 1]; ++k) sum -= value[k] * x[column[k]];
            x[i] += omega / diagonal[i] * sum;
        }
    }

    void precondition(const T* r, T* z, T omega) {
        for (int64_t step = 0; step < n; ++step) {
            const int64_t i = at(step);
            T sum = r[i];
            for (int64_t k = begin[i]; k < begin[i + 1]; ++k)
                if (earlier(column[k], i)) sum -= value[k] * z[column[k]];
            z[i] = omega / diagonal[i] * sum;
        }
        for (int64_t step = n - 1; step >= 0; --step) {
            const int64_t i = at(step);
            T sum = (2 - omega) / omega * diagonal[i] * z[i];
            for (int64_t k = begin[i]; k < begin[i + 1]; ++k)
                if (earlier(i, column[k])) sum -= value[k] * z[column[k]];
            z[i] = omega / diagonal[i] * sum;
        }
    }
};

}  // namespace
