// V-cycles and whole solves by them, after multigrid.cpp.

namespace {

// The V-cycle of one sample: a matrix for the loops of solve.cpp, preconditioned by the cycle.
template <typename T> struct Cycle {
    const std::vector<Grid>& grids;
    const Hierarchy<T>& all;
    int64_t before, after;
    std::vector<Stencil<T>> matrix;
    std::vector<std::vector<T>> right, found;  // of each coarser grid
    std::vector<T> fine, coarse, plane;        // rows, and the plane of a coarser grid

    Cycle(const std::vector<Grid>& g, const Hierarchy<T>& h, int64_t sweeps_before, int64_t sweeps_after)
        : grids(g), all(h), before(sweeps_before), after(sweeps_after), fine(g[0].shape[2]), coarse(g[0].shape[2]),
          plane(g[0].shape[1] * g[0].shape[2]) {
        for (size_t k = 0; k < grids.size(); ++k) {
            const Level<T>& level = all.levels[k];
            matrix.emplace_back(grids[k].layout, level.coefficient, level.varies, level.diagonal, level.uneven);
            right.emplace_back(k ? matrix[k].size() : 0);
            found.emplace_back(k ? matrix[k].size() : 0);
        }
    }

    int64_t size() const { return matrix[0].size(); }

    void apply(const T* x, T* y, const T* b) const { matrix[0].apply(x, y, b); }

    // z = what a cycle from 0 makes of r.
    void precondition(const T* r, T* z, T omega) { descend(0, r, z, omega); }

    void descend(size_t depth, const T* r, T* z, T omega) {
        Stencil<T>& a = matrix[depth];
        const int64_t n = a.size();
        if (depth + 1 == grids.size()) {
            std::copy(r, r + n, z);
            return all.coarsest.solve(z);
        }
        if (before) {
            a.lower(r, z, omega);
            for (int64_t k = 1; k < before; ++k) a.sweep(r, z, omega, FORWARD);
        } else {
            std::fill(z, z + n, T(0));
        }
        restrict_residual(depth, r, z, omega);
        descend(depth + 1, right[depth + 1].data(), found[depth + 1].data(), omega);
        interpolate(depth, z);
        for (int64_t k = 0; k < after; ++k) a.sweep(r, z, omega, BACKWARD);
    }

    Line line(size_t depth, int axis) const { return grids[depth].line(axis, grids[depth + 1]); }

    // What is left of r, on the next coarser grid: row after row, and plane after plane.
    void restrict_residual(size_t depth, const T* r, const T* z, T omega) {
        const Stencil<T>& a = matrix[depth];
        const Level<T>& level = all.levels[depth];
        const Line high = line(depth, 0), wide = line(depth, 1), long_ = line(depth, 2);
        const int64_t w = long_.coarse, size = wide.coarse * w;
        T* b = right[depth + 1].data();
        std::fill(b, b + high.coarse * size, T(0));
        for (int64_t i = 0; i < high.fine; ++i) {
            T* to = high.halves() ? plane.data() : b + i * size;
            if (high.halves()) std::fill(to, to + size, T(0));
            for (int64_t j = 0; j < wide.fine; ++j) {
                const int64_t row = i * wide.fine + j;
                if (before == 1)
                    remainder(a, row, z, omega);
                else
                    residual(a, row, r, z);
                restrict_row(long_, level.share[2].data() + row * long_.between());
                spread(wide, j, level.share[1].data() + i * wide.between() * w, coarse.data(), to, w);
            }
            if (high.halves()) spread(high, i, level.share[0].data(), to, b, size);
        }
    }

    // Add what point p of a line has, n values, to its parents in y.
    static void spread(const Line& line, int64_t p, const T* share, const T* __restrict__ x, T* y, int64_t n) {
        Line::Part found[2];
        const int count = line.halves() ? line.parents(p, found) : 0;
        if (!count) found[0] = {p, -1, WHOLE};
        for (int k = 0; k < std::max(count, 1); ++k) {
            T* __restrict__ to = y + found[k].coarse * n;
            const T* __restrict__ s = share + found[k].between * n;
            if (found[k].mode == WHOLE)
                for (int64_t j = 0; j < n; ++j) to[j] += x[j];
            else if (found[k].mode == SHARE)
                for (int64_t j = 0; j < n; ++j) to[j] += s[j] * x[j];
            else
                for (int64_t j = 0; j < n; ++j) to[j] += (1 - s[j]) * x[j];
        }
    }

    // fine = r - A z of a row.
    void residual(const Stencil<T>& a, int64_t row, const T* r, const T* z) {
        const int64_t m = a.at.width;
        const T* own = z + row * m;
        for (int64_t j = 0; j < m; ++j) fine[j] = r[row * m + j] - a.d(row, j) * own[j];
        a.subtract(fine.data(), row, z, ALL);
        for (int64_t k : {a.at.left, a.at.right})
            if (k >= 0) a.subtract_line(fine.data(), a.coupling(k, row), own, a.at.shift[k], true);
    }

    // The same after one sweep from 0, (D / omega + L) z = r: (1 / omega - 1) D z - U z.
    void remainder(const Stencil<T>& a, int64_t row, const T* z, T omega) {
        const int64_t m = a.at.width;
        const T *own = z + row * m, keep = 1 / omega - 1;
        if (a.uneven)
            for (int64_t j = 0; j < m; ++j) fine[j] = keep * a.diagonal[row * m + j] * own[j];
        else
            for (int64_t j = 0; j < m; ++j) fine[j] = keep * a.diagonal[0] * own[j];
        a.subtract(fine.data(), row, z, AFTER);
        if (a.at.right >= 0) a.subtract_line(fine.data(), a.coupling(a.at.right, row), own, 1, false);
        if (a.at.left >= 0 && a.at.wraps) fine[0] -= a.value(a.coupling(a.at.left, row), 0) * own[m - 1];
    }

    // coarse = P^T fine along a row.
    void restrict_row(const Line& line, const T* __restrict__ s) {
        const T* __restrict__ x = fine.data();
        T* __restrict__ y = coarse.data();
        const int64_t m = line.coarse;
        if (!line.halves()) return void(std::copy(x, x + m, y));
        y[0] = x[0] + s[0] * x[1];
        for (int64_t t = 1; t + 1 < m; ++t) y[t] = x[2 * t] + (1 - s[t - 1]) * x[2 * t - 1] + s[t] * x[2 * t + 1];
        y[m - 1] = x[2 * m - 2] + (1 - s[m - 2]) * x[2 * m - 3];
        for (int64_t t = m - 1; t < line.between(); ++t) {
            y[line.first(t)] += s[t] * x[line.point(t)];
            if (!line.ends(t)) y[line.second(t)] += (1 - s[t]) * x[line.point(t)];
        }
    }

    // z += P times what the coarser grid has found.
    void interpolate(size_t depth, T* z) {
        const Level<T>& level = all.levels[depth];
        const Line high = line(depth, 0), wide = line(depth, 1), long_ = line(depth, 2);
        const int64_t w = long_.coarse, size = wide.coarse * w;
        for (int64_t i = 0; i < high.fine; ++i) {
            const T* from = gathered(high, i, level.share[0].data(), found[depth + 1].data(), plane.data(), size);
            for (int64_t j = 0; j < wide.fine; ++j) {
                const int64_t row = i * wide.fine + j;
                const T* share = level.share[1].data() + i * wide.between() * w;
                const T* x = gathered(wide, j, share, from, coarse.data(), w);
                interpolate_row(long_, level.share[2].data() + row * long_.between(), x, z + row * long_.fine);
            }
        }
    }

    // What point p of a line gets of its parents in x, n values: there, or in y.
    static const T* gathered(const Line& line, int64_t p, const T* share, const T* x, T* __restrict__ y, int64_t n) {
        if (!line.halves()) return x + p * n;
        Line::Part found[2];
        const int count = line.parents(p, found);
        const T* __restrict__ one = x + found[0].coarse * n;
        if (found[0].mode == WHOLE) return one;
        const T* __restrict__ s = share + found[0].between * n;
        const T* __restrict__ two = x + found[count - 1].coarse * n;
        if (count == 2)
            for (int64_t j = 0; j < n; ++j) y[j] = s[j] * one[j] + (1 - s[j]) * two[j];
        else
            for (int64_t j = 0; j < n; ++j) y[j] = s[j] * one[j];
        return y;
    }

    static void interpolate_row(const Line& line, const T* __restrict__ s, const T* __restrict__ x, T* __restrict__ y) {
        const int64_t m = line.coarse;
        if (!line.halves()) {
            for (int64_t j = 0; j < m; ++j) y[j] += x[j];
            return;
        }
        for (int64_t t = 0; t + 1 < m; ++t) {
            y[2 * t] += x[t];
            y[2 * t + 1] += s[t] * x[t] + (1 - s[t]) * x[t + 1];
        }
        y[2 * m - 2] += x[m - 1];
        for (int64_t t = m - 1; t < line.between(); ++t) {
            const T second = line.ends(t) ? T(0) : (1 - s[t]) * x[line.second(t)];
            y[line.point(t)] += s[t] * x[line.first(t)] + second;
        }
    }
};

// One V-cycle after the other until the true residual is small.
template <typename T> void cycle(Cycle<T>& matrix, const T* b, T* x, const Task& task, int64_t sample) {
    const int64_t n = matrix.size();
    std::vector<T> r(n), z(n);
    matrix.apply(x, r.data(), b);
    double residual = norm(r.data(), n);
    Watch watch(task, sample, residual, norm(b, n));
    while (!watch.ends(residual)) {
        matrix.precondition(r.data(), z.data(), T(task.omega[sample]));
        for (int64_t i = 0; i < n; ++i) x[i] += z[i];
        ++watch.iterations;
        matrix.apply(x, r.data(), b);
        residual = norm(r.data(), n);
    }
}

// The hierarchies of a batch, one where all samples share a matrix. The entries of the finest grid stay the caller's.
template <typename T> struct Hierarchies {
    Stencils<T> batch;
    std::vector<Grid> grids;
    std::vector<Hierarchy<T>*> each;

    Hierarchies(const int64_t* form, const T* c, const T* d, int64_t depth, const int64_t* shapes, int64_t samples,
                int threads)
        : batch(form, c, d) {
        grids.emplace_back(form, form + 3, std::vector<int64_t>(form + 11, form + 11 + 3 * form[6]));
        for (int64_t k = 0; k < depth; ++k) grids.push_back(grids.back().coarser(shapes + 3 * k));
        each.assign(samples, nullptr);
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1 && samples > 1)
        for (int64_t k = 0; k < samples; ++k) each[k] = new Hierarchy<T>(grids, batch[k]);
    }

    ~Hierarchies() {
        for (Hierarchy<T>* one : each) delete one;
    }

    Cycle<T> at(int64_t sample, int64_t before, int64_t after) const {
        return Cycle<T>(grids, *each[each.size() == 1 ? 0 : sample], before, after);
    }
};

template <typename T>
void cycle_all(const Hierarchies<T>& all, int64_t before, int64_t after, int64_t samples, const T* r, T* z,
               const double* omega, int threads) {
    const int64_t n = all.batch.size();
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1 && samples > 1)
    for (int64_t k = 0; k < samples; ++k)
        all.at(k, before, after).precondition(r + k * n, z + k * n, T(omega[k]));
}

template <typename T>
void cycle_to_end(const Hierarchies<T>& all, int64_t before, int64_t after, bool gradients, int64_t samples, const T* b,
                  T* x, const Task& task, int threads) {
    const int64_t n = all.batch.size();
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1 && samples > 1)
    for (int64_t k = 0; k < samples; ++k) {
        Cycle<T> matrix = all.at(k, before, after);
        if (gradients)
            conjugate_gradient(matrix, b + k * n, x + k * n, task, k);
        else
            cycle(matrix, b + k * n, x + k * n, task, k);
    }
}

}  // namespace

#define MULTIGRID(T)                                                                                                   \
    void* multigrid_new_##T(const int64_t* form, const T* c, const T* d, int64_t depth, const int64_t* shapes,         \
                            int64_t samples, int threads) {                                                            \
        return new Hierarchies<T>(form, c, d, depth, shapes, samples, threads);                                        \
    }                                                                                                                  \
    void multigrid_delete_##T(void* all) { delete static_cast<Hierarchies<T>*>(all); }                                 \
    void multigrid_cycle_##T(const void* all, int64_t before, int64_t after, int64_t samples, const T* r, T* z,        \
                             const double* omega, int threads) {                                                       \
        cycle_all(*static_cast<const Hierarchies<T>*>(all), before, after, samples, r, z, omega, threads);             \
    }                                                                                                                  \
    void multigrid_solve_##T(const void* all, int64_t before, int64_t after, int64_t gradients, int64_t samples,       \
                             const T* b, T* x, const double* omega, const double* goals, int64_t initial,              \
                             int64_t limit, int64_t* iterations, int64_t* status, double* residual, int threads) {     \
        const Task task{omega, goals, goals + samples, initial != 0, limit, iterations, status, residual};             \
        cycle_to_end(*static_cast<const Hierarchies<T>*>(all), before, after, gradients != 0, samples, b, x, task,     \
                     threads);                                                                                         \
    }

extern "C" {
MULTIGRID(float)
MULTIGRID(double)
}
