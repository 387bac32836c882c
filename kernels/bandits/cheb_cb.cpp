// Rounds of ChebCB, as cheb_cb.py has them. Matrices are dense, by rows, of the few features of a context.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace {

using Vector = std::vector<double>;

constexpr double CONDITION = 1e8, RANK = 1e-10;  // as in bounded_least_squares.py

double dot(const double* x, const double* y, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += x[i] * y[i];
    return sum;
}

// The inverse of a square matrix by Gauss and Jordan with row exchanges; false for one that is singular.
bool invert(Vector work, int64_t n, Vector& inverse) {
    inverse.assign(n * n, 0.0);
    for (int64_t i = 0; i < n; ++i) inverse[i * n + i] = 1;
    for (int64_t k = 0; k < n; ++k) {
        int64_t best = k;
        for (int64_t i = k + 1; i < n; ++i)
            if (std::abs(work[i * n + k]) > std::abs(work[best * n + k])) best = i;
        if (work[best * n + k] == 0 || !std::isfinite(work[best * n + k])) return false;
        for (Vector* matrix : {&work, &inverse}) {
            if (best != k) std::swap_ranges(&(*matrix)[k * n], &(*matrix)[k * n] + n, &(*matrix)[best * n]);
        }
        const double pivot = 1 / work[k * n + k];
        for (int64_t j = 0; j < n; ++j) work[k * n + j] *= pivot, inverse[k * n + j] *= pivot;
        for (int64_t i = 0; i < n; ++i) {
            const double factor = i == k ? 0 : work[i * n + k];
            if (factor == 0) continue;
            for (int64_t j = 0; j < n; ++j) {
                work[i * n + j] -= factor * work[k * n + j];
                inverse[i * n + j] -= factor * inverse[k * n + j];
            }
        }
    }
    return true;
}

// The shortest solution of G theta = g for a symmetric G, by its eigenvectors: Jacobi's rotations.
Vector shortest(Vector gram, const Vector& moment, int64_t n) {
    Vector vectors(n * n, 0.0);
    for (int64_t i = 0; i < n; ++i) vectors[i * n + i] = 1;
    for (int sweep = 0; sweep < 50; ++sweep) {
        double off = 0, whole = 0;
        for (int64_t i = 0; i < n; ++i)
            for (int64_t j = 0; j < n; ++j) (i == j ? whole : off) += gram[i * n + j] * gram[i * n + j];
        if (off <= 1e-32 * whole) break;
        for (int64_t p = 0; p < n; ++p)
            for (int64_t q = p + 1; q < n; ++q) {
                const double apart = gram[q * n + q] - gram[p * n + p], twice = 2 * gram[p * n + q];
                if (twice == 0) continue;
                const double tangent = (apart < 0 ? -twice : twice) / (std::abs(apart) + std::hypot(apart, twice));
                const double cosine = 1 / std::sqrt(1 + tangent * tangent), sine = cosine * tangent;
                const auto turn = [&](double& first, double& second) {
                    const double old = first;
                    first = cosine * old - sine * second;
                    second = sine * old + cosine * second;
                };
                for (int64_t k = 0; k < n; ++k) turn(gram[p * n + k], gram[q * n + k]);
                for (int64_t k = 0; k < n; ++k) turn(gram[k * n + p], gram[k * n + q]);
                for (int64_t k = 0; k < n; ++k) turn(vectors[p * n + k], vectors[q * n + k]);  // in rows
            }
    }
    double largest = 0;
    for (int64_t i = 0; i < n; ++i) largest = std::max(largest, gram[i * n + i]);
    Vector theta(n, 0.0);
    for (int64_t i = 0; i < n; ++i) {
        const double value = gram[i * n + i], *vector = &vectors[i * n];
        if (!(value > RANK * std::max(largest, 1e-300))) continue;
        const double part = dot(vector, moment.data(), n) / value;
        for (int64_t k = 0; k < n; ++k) theta[k] += part * vector[k];
    }
    return theta;
}

Vector least(const Vector& gram, const Vector& moment) {
    const int64_t n = moment.size();
    Vector inverse, theta(n);
    if (!invert(gram, n, inverse)) return shortest(gram, moment, n);
    const double condition = dot(gram.data(), gram.data(), n * n) * dot(inverse.data(), inverse.data(), n * n);
    if (!(condition < CONDITION * CONDITION)) return shortest(gram, moment, n);
    for (int64_t i = 0; i < n; ++i) theta[i] = dot(&inverse[i * n], moment.data(), n);
    return theta;
}

// Least squares within bounds: bounded_least_squares.py.
class Bounded {
  public:
    Bounded(const Vector& gram, const Vector& moment, const double* bound)
        : n(moment.size()), gram(gram), moment(moment), bound(bound), held(n) {}

    // theta holds a guess, and then the solution.
    void solve(double* theta) {
        bool any = hold(theta);
        if (!any) {
            const Vector found = least(gram, moment);
            std::copy(found.begin(), found.end(), theta);
            if (!hold(theta)) return;
        }
        double scale = 1e-300;
        for (int64_t i = 0; i < n; ++i) {
            theta[i] = std::clamp(theta[i], -bound[i], bound[i]);
            scale = std::max(scale, std::abs(moment[i]));
        }
        for (int64_t round = 0; round < 4 * n; ++round) {
            descend(theta);
            double most = -INFINITY;
            int64_t which = 0;
            for (int64_t i = 0; i < n; ++i) {
                const double slope = dot(&gram[i * n], theta, n) - moment[i];
                const double wrong = held[i] ? slope * (theta[i] > 0 ? 1 : -1) : 0;
                if (wrong > most) most = wrong, which = i;
            }
            if (most <= 1e-12 * scale) return;
            held[which] = false;
        }
    }

  private:
    int64_t n;
    const Vector &gram, &moment;
    const double* bound;
    std::vector<bool> held;

    bool hold(const double* theta) {
        bool any = false;
        for (int64_t i = 0; i < n; ++i) any |= held[i] = std::abs(theta[i]) >= bound[i];
        return any;
    }

    // The least sum over the coefficients that are free, holding those that reach a bound on the way.
    void descend(double* theta) {
        for (;;) {
            std::vector<int64_t> free;
            for (int64_t i = 0; i < n; ++i)
                if (!held[i]) free.push_back(i);
            const int64_t count = free.size();
            if (!count) return;
            Vector part(count * count), right(count);
            for (int64_t i = 0; i < count; ++i) {
                right[i] = moment[free[i]];
                for (int64_t j = 0; j < n; ++j)
                    if (held[j]) right[i] -= gram[free[i] * n + j] * theta[j];
                for (int64_t j = 0; j < count; ++j) part[i * count + j] = gram[free[i] * n + free[j]];
            }
            const Vector wanted = least(part, right);
            double room = INFINITY;
            int64_t first = -1;
            for (int64_t i = 0; i < count; ++i) {
                const double limit = bound[free[i]], way = wanted[i] - theta[free[i]];
                if (!(std::abs(wanted[i]) > limit)) continue;
                const double own = ((way > 0 ? limit : -limit) - theta[free[i]]) / way;
                if (own < room) room = own, first = i;
            }
            const double share = first < 0 ? 1 : std::clamp(room, 0.0, 1.0);
            for (int64_t i = 0; i < count; ++i)
                theta[free[i]] = first < 0 ? wanted[i] : theta[free[i]] + share * (wanted[i] - theta[free[i]]);
            if (first < 0) return;
            const int64_t reached = free[first];
            theta[reached] = wanted[first] > 0 ? bound[reached] : -bound[reached];
            held[reached] = true;
        }
    }
};

}  // namespace

// A ``Regression``: native.py fills these in.
struct Known {
    int64_t arms, m;
    const double* settings;  // low, high, discount, stale, number, alpha, and the bounds
    double *products, *theta, *fresh, *sums;

    double scale() const { return std::max(sums[1], 1.0) * settings[4]; }

    double rate() const {
        const double time = sums[0], s = scale();
        if (time == 0) return 0;
        const double regret = sums[3] - 2 * sums[4] / s + sums[5] / (s * s);
        const double spread = regret - sums[2] + 2 * settings[5] * settings[5] * time;
        return 2 * time * std::sqrt(arms * time / std::max(spread, 1e-300));
    }

    void fit(int64_t arm) {
        const double* sum = products + arm * (m + 1) * (m + 1);
        Vector gram(m * m), moment(m);
        for (int64_t i = 0; i < m; ++i) {
            moment[i] = sum[i * (m + 1) + m] / scale();
            for (int64_t j = 0; j < m; ++j) gram[i * m + j] = sum[i * (m + 1) + j];
        }
        Bounded(gram, moment, settings + 6).solve(theta + arm * m);
        fresh[arm] = 0;
    }
};

extern "C" {

// `features` has m + 1 columns: the last one is what is predicted.
void cheb_cb_pull(
    const Known* known, int64_t count, const double* contexts, const double* uniform, double* features,
    int64_t* chosen) {
    const int64_t arms = known->arms, m = known->m;
    const double low = known->settings[0], high = known->settings[1], rate = known->rate();
    Vector expected(arms), probability(arms);
    for (int64_t row = 0; row < count; ++row, features += m + 1) {
        const double part = (contexts[row] - low) / (high - low);
        const double angle = std::acos(2 * std::clamp(part, 0.0, 1.0) - 1);
        for (int64_t j = 0; j < m; ++j) features[j] = std::cos(angle * j);
        for (int64_t arm = 0; arm < arms; ++arm) expected[arm] = dot(features, known->theta + arm * m, m);
        const int64_t best = std::min_element(expected.begin(), expected.end()) - expected.begin();
        double others = 0;
        for (int64_t arm = 0; arm < arms; ++arm) {
            probability[arm] = 1 / (arms + rate * (expected[arm] - expected[best]));
            others += arm == best ? 0 : probability[arm];
        }
        probability[best] = 1 - others;
        double total = 0;
        for (double& p : probability) p = total += p;
        const double wanted = uniform[row] * total;
        const int64_t arm = std::upper_bound(probability.begin(), probability.end(), wanted) - probability.begin();
        chosen[row] = std::min(arm, arms - 1);
        features[m] = expected[chosen[row]];
    }
}

void cheb_cb_update(
    Known* known, int64_t count, const double* costs, const int64_t* chosen, const double* features) {
    const int64_t arms = known->arms, m = known->m, size = (m + 1) * (m + 1);
    double *products = known->products, *fresh = known->fresh, *sums = known->sums;
    const double keep = std::pow(known->settings[2], count), before = sums[1];
    sums[0] = keep * sums[0] + count;
    for (int64_t i = 0; keep < 1 && i < arms * size; ++i) products[i] *= keep;
    for (int64_t i = 3; i < 6; ++i) sums[i] *= keep;
    Vector row(m + 1);
    std::vector<bool> pulled(arms);
    for (int64_t k = 0; k < count; ++k) {
        std::copy_n(features + k * (m + 1), m, row.begin());
        const double predicted = features[k * (m + 1) + m];
        row[m] = std::max(costs[k] - 1, 0.0);
        double* sum = products + chosen[k] * size;
        for (int64_t i = 0; i <= m; ++i)
            for (int64_t j = 0; j <= m; ++j) sum[i * (m + 1) + j] += row[i] * row[j];
        fresh[chosen[k]] += 1;
        pulled[chosen[k]] = true;
        sums[3] += predicted * predicted;
        sums[4] += predicted * costs[k];
        sums[5] += costs[k] * costs[k];
        sums[1] = std::max(sums[1], costs[k]);
    }
    const bool larger = sums[1] > before;
    for (int64_t arm = 0; arm < arms; ++arm)  // the first feature is 1: the first product counts the costs
        if (larger || (pulled[arm] && fresh[arm] >= known->settings[3] * products[arm * size])) known->fit(arm);
    const int64_t last = chosen[count - 1];
    std::copy_n(known->theta + last * m, m, row.begin());
    row[m] = -1 / known->scale();
    double residual = 0;
    for (int64_t i = 0; i <= m; ++i) residual += row[i] * dot(products + last * size + i * (m + 1), row.data(), m + 1);
    sums[2] = std::max(residual, 0.0);
}

}  // extern "C"
